package main

import (
	"context"
	"fmt"
	"net/http"
	"syscall"
	"time"
)

// serveControl answers on the host's loopback, below a secret path: what a test does to the
// cluster that no Kubernetes client can do. Every call is a POST and comes back when it is done.
//
//	etcd/compact        drop etcd's history; the API server still has its own memory of it
//	apiserver/freeze    the process stops in the middle of whatever it does; connections stay open
//	apiserver/thaw      and goes on
//	apiserver/kill      it is gone: open connections are reset, new ones too
//	apiserver/start     after kill
//	apiserver/restart   kill and start: after etcd/compact, every older resourceVersion is 410 Gone
func (c *cluster) serveControl() error {
	l, err := inherited(fdControl, "control")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	handle := func(path string, do func(context.Context) (string, error)) {
		mux.HandleFunc("POST /"+c.Secret+path, func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithTimeout(r.Context(), time.Minute)
			defer cancel()
			text, err := do(ctx)
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			fmt.Fprintln(w, text)
		})
	}
	send := func(s syscall.Signal) func(context.Context) (string, error) {
		return func(context.Context) (string, error) { return "done", c.server.signal(s) }
	}
	start := func(ctx context.Context) (string, error) {
		if c.server.running() {
			return "", fmt.Errorf("the API server is running")
		}
		return "ready", c.server.run(ctx)
	}
	kill := func(context.Context) (string, error) {
		c.server.kill()
		return "gone", nil
	}
	handle("/etcd/compact", func(ctx context.Context) (string, error) {
		revision, err := compact(ctx)
		return fmt.Sprint(revision), err
	})
	handle("/apiserver/freeze", send(syscall.SIGSTOP))
	handle("/apiserver/thaw", send(syscall.SIGCONT))
	handle("/apiserver/kill", kill)
	handle("/apiserver/start", start)
	handle("/apiserver/restart", func(ctx context.Context) (string, error) {
		c.server.kill()
		return start(ctx)
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(l) }()
	return nil
}
