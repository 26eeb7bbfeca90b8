package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// gatewayName is the proxy that takes what comes from outside the mesh.
const gatewayName = "gateway"

// proxy is a stock Envoy that the real istiod drives: a sidecar of one pod, or the ingress gateway.
type proxy struct {
	name    string
	network *network
	process *process
}

// identity is what a proxy tells istiod about itself.
type identity struct {
	id       string
	metadata map[string]any
}

// startProxy starts the proxy that a test names: `NAMESPACE/APP` is a sidecar of the first pod with
// that label `app`, `gateway` the ingress gateway. Asked again, it finds it running.
func (c *cluster) startProxy(ctx context.Context, name string) error {
	if !c.Mesh {
		return fmt.Errorf("%s: the mesh was not started", name)
	}
	c.proxying.Lock()
	defer c.proxying.Unlock()
	if _, ok := c.proxies[name]; ok {
		return nil
	}
	who, err := c.identify(ctx, name)
	if err != nil {
		return err
	}
	c.networks++
	inside, err := newNetwork(c.networks)
	if err != nil {
		return fmt.Errorf("network of %s: %w", name, err)
	}
	part, err := envoy(c.options, strings.ReplaceAll(name, "/", "-"), who, inside)
	if err != nil {
		return err
	}
	started, err := c.run(ctx, part)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.proxies[name] = &proxy{name: name, network: inside, process: started}
	c.mu.Unlock()
	return c.writeTargets()
}

// stopProxy ends one; its network goes with it.
func (c *cluster) stopProxy(name string) error {
	c.proxying.Lock()
	defer c.proxying.Unlock()
	p, err := c.proxy(name)
	if err != nil {
		return err
	}
	c.mu.Lock()
	delete(c.proxies, name)
	c.mu.Unlock()
	p.process.kill()
	p.network.close()
	return c.writeTargets()
}

func (c *cluster) proxy(name string) (*proxy, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p, ok := c.proxies[name]; ok {
		return p, nil
	}
	return nil, fmt.Errorf("there is no proxy %q", name)
}

func (c *cluster) identify(ctx context.Context, name string) (identity, error) {
	if name == gatewayName {
		return identity{
			id: "router~10.244.254.1~gateway.istio-system~istio-system.svc.cluster.local",
			metadata: map[string]any{
				"ISTIO_VERSION": "1.31.0", "NAMESPACE": "istio-system", "CLUSTER_ID": "Kubernetes", "WORKLOAD_NAME": "istio-ingressgateway",
				"LABELS": map[string]string{"istio": "ingressgateway", "app": "istio-ingressgateway"}, "INSTANCE_IPS": "10.244.254.1",
			},
		}, nil
	}
	namespace, app, found := strings.Cut(name, "/")
	if !found {
		return identity{}, fmt.Errorf("%q is neither NAMESPACE/APP nor %s", name, gatewayName)
	}
	a, err := newApplier(c.path("box.kubeconfig"))
	if err != nil {
		return identity{}, err
	}
	var pod corev1.Pod
	err = eventually(ctx, "a pod of "+name, func() error {
		pods, err := a.typed.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=" + app})
		if err != nil {
			return err
		}
		for _, pod = range pods.Items {
			if pod.Status.PodIP != "" {
				return nil
			}
		}
		return fmt.Errorf("none has an address")
	})
	if err != nil {
		return identity{}, err
	}
	return identity{
		id: fmt.Sprintf("sidecar~%s~%s.%s~%s.svc.cluster.local", pod.Status.PodIP, pod.Name, namespace, namespace),
		metadata: map[string]any{
			"ISTIO_VERSION": "1.31.0", "NAMESPACE": namespace, "INTERCEPTION_MODE": "NONE", "CLUSTER_ID": "Kubernetes",
			"LABELS": pod.Labels, "WORKLOAD_NAME": app, "INSTANCE_IPS": pod.Status.PodIP,
		},
	}, nil
}

// The tags of Istio's own bootstrap: whole cluster names, response codes apart; and its buckets.
var (
	statsTags = []map[string]string{
		{"tag_name": "cluster_name", "regex": `^cluster\.((.+?(\..+?\.svc\.cluster\.local)?)\.)`},
		{"tag_name": "response_code", "regex": `_rq(_(\d{3}))$`},
		{"tag_name": "response_code_class", "regex": `_rq(_(\dxx))$`},
	}
	buckets = []float64{0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000}
)

const adminPort = 15000

func envoy(o options, name string, who identity, inside *network) (part, error) {
	http2 := "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
	discovery := map[string]any{"ads": map[string]any{}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}
	bootstrap := map[string]any{
		"node":                 map[string]any{"id": who.id, "cluster": name, "metadata": who.metadata},
		"stats_flush_interval": "1s", // histograms are told at a flush only
		"stats_config": map[string]any{
			"use_all_default_tags":      false,
			"stats_tags":                statsTags,
			"histogram_bucket_settings": []any{map[string]any{"match": map[string]any{"contains": "duration_milliseconds"}, "buckets": buckets}},
		},
		"admin": map[string]any{"address": socket("0.0.0.0", adminPort)},
		"dynamic_resources": map[string]any{
			"lds_config": discovery, "cds_config": discovery,
			"ads_config": map[string]any{
				"api_type": "GRPC", "transport_api_version": "V3",
				"grpc_services": []any{map[string]any{"envoy_grpc": map[string]any{"cluster_name": "istiod"}}},
			},
		},
		"static_resources": map[string]any{"clusters": []any{map[string]any{
			"name": "istiod", "connect_timeout": "1s",
			"typed_extension_protocol_options": map[string]any{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": map[string]any{
				"@type": http2, "explicit_http_config": map[string]any{"http2_protocol_options": map[string]any{}},
			}},
			"load_assignment": map[string]any{"cluster_name": "istiod", "endpoints": []any{map[string]any{
				"lb_endpoints": []any{map[string]any{"endpoint": map[string]any{"address": socket(inside.boxIP, xdsPort)}}},
			}}},
		}}},
	}
	text, err := json.Marshal(bootstrap)
	if err != nil {
		return part{}, err
	}
	file := o.path("envoy-" + name + ".json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return part{}, err
	}
	return part{
		name:    "envoy-" + name,
		program: o.Envoy,
		args:    []string{"-c", file, "--concurrency", "1", "--log-level", "warning", "--disable-hot-restart"},
		network: inside,
		ready: func(ctx context.Context) error {
			return answers(ctx, http.DefaultClient, fmt.Sprintf("http://%s:%d/ready", inside.ip, adminPort))
		},
	}, nil
}

func socket(ip string, port int) map[string]any {
	return map[string]any{"socket_address": map[string]any{"address": ip, "port_value": port}}
}

// writeTargets tells Prometheus which proxies there are. The file is replaced whole.
func (c *cluster) writeTargets() error {
	type target struct {
		Targets []string          `json:"targets"`
		Labels  map[string]string `json:"labels"`
	}
	targets := []target{}
	c.mu.Lock()
	for name, p := range c.proxies {
		targets = append(targets, target{[]string{fmt.Sprintf("%s:%d", p.network.ip, adminPort)}, map[string]string{"pod": name}})
	}
	c.mu.Unlock()
	text, err := json.Marshal(targets)
	if err != nil {
		return err
	}
	file := filepath.Join(c.Dir, "proxies.json")
	if err := os.WriteFile(file+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}
