package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// cluster is the running whole, inside the box.
type cluster struct {
	options
	mu        sync.Mutex
	processes []*process
	seconds   map[string]float64 // since up was called, when each step was done
	server    *process

	proxying sync.Mutex // held while the set of proxies changes
	networks int
	proxies  map[string]*proxy
	istiod   *process
	metrics  *process
	loads    loads
}

func newCluster(o options) *cluster {
	return &cluster{options: o, seconds: map[string]float64{}, proxies: map[string]*proxy{}, loads: loads{running: map[int]*runningLoad{}}}
}

func (c *cluster) started() []*process {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.processes)
}

// run starts a part and comes back when it is ready.
func (c *cluster) run(ctx context.Context, p part) (*process, error) {
	started := &process{part: p, log: c.path(p.name + ".log")}
	c.mu.Lock()
	c.processes = append(c.processes, started)
	c.mu.Unlock()
	err := started.run(ctx)
	c.done(p.name)
	return started, err
}

func (c *cluster) done(step string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seconds[step] = time.Since(c.Started).Seconds()
}

// start brings everything up. Order matters: each line needs the ones above it.
func (c *cluster) start(ctx context.Context) (report, error) {
	if err := openNetwork(); err != nil {
		return report{}, fmt.Errorf("network of the cluster: %w", err)
	}
	if err := makeKeys(c.options); err != nil {
		return report{}, fmt.Errorf("keys: %w", err)
	}
	people, err := makePeople(c.options)
	if err != nil {
		return report{}, fmt.Errorf("people: %w", err)
	}
	if _, err := c.run(ctx, etcd(c.options)); err != nil {
		return report{}, err
	}
	server, err := apiServer(c.options)
	if err != nil {
		return report{}, err
	}
	if c.server, err = c.run(ctx, server); err != nil {
		return report{}, err
	}
	for _, p := range []part{controllers(c.options), scheduler(c.options), kubeletPart(c.options)} {
		if _, err := c.run(ctx, p); err != nil {
			return report{}, err
		}
	}
	if err := c.fill(ctx, people); err != nil {
		return report{}, err
	}
	if c.Mesh {
		if err := c.startTraffic(ctx); err != nil {
			return report{}, err
		}
	}
	if err := forward(fdAPI, "api", apiServerAddress); err != nil {
		return report{}, err
	}
	if err := c.serveControl(); err != nil {
		return report{}, err
	}
	metrics := ""
	if c.Mesh {
		metrics = c.Metrics
	}
	return report{
		Ready:      true,
		Prometheus: metrics,
		Kubeconfig: c.path("admin.kubeconfig"),
		Server:     fmt.Sprintf("https://%s", net.JoinHostPort("127.0.0.1", fmt.Sprint(c.HostPort))),
		CA:         c.path("ca.crt"),
		Tokens:     people,
		Control:    c.Control,
		Dir:        c.Dir,
		Seconds:    c.seconds,
	}, nil
}

// startIstiod comes before the samples, so that Istio judges them too.
func (c *cluster) startIstiod(ctx context.Context, a *applier) error {
	const namespace = "{apiVersion: v1, kind: Namespace, metadata: {name: istio-system}}"
	if err := a.text(ctx, "istio-system", strings.NewReader(namespace)); err != nil {
		return err
	}
	p, err := istiod(c.options)
	if err != nil {
		return err
	}
	if c.istiod, err = c.run(ctx, p); err != nil {
		return err
	}
	if err := a.mesh(ctx, c.options); err != nil {
		return fmt.Errorf("mesh: %w", err)
	}
	c.done("mesh")
	return nil
}

// startTraffic starts the proxies and what counts their requests.
func (c *cluster) startTraffic(ctx context.Context) error {
	if err := c.writeTargets(); err != nil {
		return err
	}
	p, err := prometheus(c.options)
	if err != nil {
		return err
	}
	for _, name := range c.Proxies {
		if err := c.startProxy(ctx, name); err != nil {
			return err
		}
	}
	if c.metrics, err = c.run(ctx, p); err != nil {
		return err
	}
	return forward(fdMetrics, "metrics", prometheusAddress)
}

// fill puts in what every cluster of the tests has: Istio's kinds, the roles that deploy/ gives,
// the people with theirs, a volume for deploy/, and the samples when they were asked for.
func (c *cluster) fill(ctx context.Context, tokens map[string]string) error {
	a, err := newApplier(c.path("writer.kubeconfig"))
	if err != nil {
		return err
	}
	if !c.WithoutIstio {
		if err := a.definitions(ctx, c.CRDs); err != nil {
			return fmt.Errorf("Istio's kinds: %w", err)
		}
		c.done("crds")
	}
	if c.Mesh {
		if err := c.startIstiod(ctx, a); err != nil {
			return err
		}
	}
	if !c.WithoutRights {
		if err := a.files(ctx, deployFiles(c.Root), isRight); err != nil {
			return fmt.Errorf("rights of deploy/: %w", err)
		}
		token, err := a.serviceAccountToken(ctx, "sluice", "sluice")
		if err != nil {
			return fmt.Errorf("token of sluice: %w", err)
		}
		tokens["sluice"] = token
	}
	if err := a.files(ctx, []string{c.Root + "/tests/cluster/people.yaml", c.Root + "/tests/cluster/volume.yaml"}, everything); err != nil {
		return err
	}
	portal, err := a.serviceAccountToken(ctx, "platform", "portal")
	if err != nil {
		return fmt.Errorf("token of the portal: %w", err)
	}
	tokens["portal"] = portal
	for name, token := range tokens {
		if err := writeKubeconfig(c.options, name, token, c.HostPort); err != nil {
			return err
		}
	}
	c.done("people")
	if c.Samples {
		if err := a.samples(ctx, c.Root+"/tests/cluster/samples"); err != nil {
			return fmt.Errorf("samples: %w", err)
		}
		c.done("samples")
	}
	return os.Remove(c.path("writer.kubeconfig"))
}
