package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"syscall"
	"time"
)

// serveControl answers on the host's loopback, below a secret path: what a test does to the
// cluster that no Kubernetes client can do. Every call is a POST and comes back when it is done.
//
//	etcd/compact        drop etcd's history; the API server still has its own memory of it
//	PART/freeze         the process stops in the middle of whatever it does; connections stay open
//	PART/thaw           and goes on
//	PART/kill           it is gone: open connections are reset, new ones too
//	PART/start          after kill
//	PART/restart        kill and start: after etcd/compact, every older resourceVersion is 410 Gone
//
// PART is apiserver, istiod or prometheus. With a mesh also:
//
//	proxy/start?name=N  an Envoy: N is NAMESPACE/APP or gateway (proxy.go)
//	proxy/stop?name=N
//	proxy/admin?name=N&path=P   what its administration answers to a GET of P
//	load                runs the order in the body to its end (load.go)
//	load/start          begins it and answers its number
//	load/stop?id=…      ends it and answers what came of it
//	counts              what every backend got (backend.go)
func (c *cluster) serveControl() error {
	l, err := inherited(fdControl, "control")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	handle := func(path string, limit time.Duration, do func(context.Context, *http.Request) (string, error)) {
		mux.HandleFunc("POST /"+c.Secret+path, func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithTimeout(r.Context(), limit)
			defer cancel()
			text, err := do(ctx, r)
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			fmt.Fprintln(w, text)
		})
	}
	handle("/etcd/compact", time.Minute, func(ctx context.Context, _ *http.Request) (string, error) {
		revision, err := compact(ctx)
		return fmt.Sprint(revision), err
	})
	for name, p := range map[string]*process{"apiserver": c.server, "istiod": c.istiod, "prometheus": c.metrics} {
		if p != nil {
			for action, do := range actions(p) {
				handle("/"+name+"/"+action, time.Minute, do)
			}
		}
	}
	if c.Mesh {
		handle("/proxy/start", time.Minute, func(ctx context.Context, r *http.Request) (string, error) {
			return "ready", c.startProxy(ctx, r.FormValue("name"))
		})
		handle("/proxy/stop", time.Minute, func(_ context.Context, r *http.Request) (string, error) {
			return "gone", c.stopProxy(r.FormValue("name"))
		})
		handle("/proxy/admin", time.Minute, func(ctx context.Context, r *http.Request) (string, error) {
			p, err := c.proxy(r.FormValue("name"))
			if err != nil {
				return "", err
			}
			return get(ctx, fmt.Sprintf("http://%s:%d%s", p.network.ip, adminPort, r.FormValue("path")))
		})
		handle("/counts", time.Minute, func(ctx context.Context, _ *http.Request) (string, error) {
			return get(ctx, "http://"+countsAddress+"/counts")
		})
		handle("/load", 10*time.Minute, func(ctx context.Context, r *http.Request) (string, error) {
			var o order
			if err := json.NewDecoder(r.Body).Decode(&o); err != nil {
				return "", err
			}
			result, err := c.load(ctx, o)
			if err != nil {
				return "", err
			}
			text, err := json.Marshal(result)
			return string(text), err
		})
		handle("/load/start", time.Minute, func(_ context.Context, r *http.Request) (string, error) {
			var o order
			err := json.NewDecoder(r.Body).Decode(&o)
			if err != nil {
				return "", err
			}
			return c.startLoad(o), nil
		})
		handle("/load/stop", time.Minute, func(_ context.Context, r *http.Request) (string, error) {
			id, err := strconv.Atoi(r.FormValue("id"))
			if err != nil {
				return "", err
			}
			return c.stopLoad(id)
		})
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(l) }()
	return nil
}

func actions(p *process) map[string]func(context.Context, *http.Request) (string, error) {
	send := func(s syscall.Signal) func(context.Context, *http.Request) (string, error) {
		return func(context.Context, *http.Request) (string, error) { return "done", p.signal(s) }
	}
	start := func(ctx context.Context, _ *http.Request) (string, error) {
		if p.running() {
			return "", fmt.Errorf("%s is running", p.name)
		}
		return "ready", p.run(ctx)
	}
	return map[string]func(context.Context, *http.Request) (string, error){
		"freeze": send(syscall.SIGSTOP),
		"thaw":   send(syscall.SIGCONT),
		"kill":   func(context.Context, *http.Request) (string, error) { p.kill(); return "gone", nil },
		"start":  start,
		"restart": func(ctx context.Context, r *http.Request) (string, error) {
			p.kill()
			return start(ctx, r)
		},
	}
}

func get(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return string(text), err
}
