package main

import (
	"context"
	"fmt"
	"net/http"

	clientv3 "go.etcd.io/etcd/client/v3"
)

const etcdURL = "http://127.0.0.1:2379"

// etcd keeps its data in the cluster's own, fresh directory: two on one directory destroy it.
func etcd(o options) part {
	const peers = "http://127.0.0.1:2380"
	return part{
		name: "etcd",
		args: []string{
			"--data-dir=" + o.path("etcd"),
			"--unsafe-no-fsync",
			"--listen-client-urls=" + etcdURL, "--advertise-client-urls=" + etcdURL,
			"--listen-peer-urls=" + peers, "--initial-advertise-peer-urls=" + peers,
			"--initial-cluster=default=" + peers,
			"--log-level=warn",
		},
		ready: func(ctx context.Context) error { return answers(ctx, http.DefaultClient, etcdURL+"/readyz") },
	}
}

// compact drops the whole history of etcd: a watch or a page that continues from an older
// resourceVersion gets a real 410 Gone, once the API server no longer has it in memory.
func compact(ctx context.Context) (int64, error) {
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{etcdURL}, Context: ctx})
	if err != nil {
		return 0, err
	}
	defer client.Close()
	now, err := client.Get(ctx, "any")
	if err != nil {
		return 0, err
	}
	revision := now.Header.Revision
	_, err = client.Compact(ctx, revision, clientv3.WithCompactPhysical())
	return revision, err
}

// answers is nil when a GET of url is answered by 200.
func answers(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, response.Status)
	}
	return nil
}
