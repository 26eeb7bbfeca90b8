package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"strings"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Where istiod listens in the box: on every address, because proxies have networks of their own.
const (
	xdsPort        = 15010
	istiodReadyURL = "http://127.0.0.1:18080/ready"
)

// meshConfig: sidecars without traffic capture (each listens on its own loopback), no mutual TLS.
const meshConfig = `defaultConfig: {discoveryAddress: "localhost:15010", interceptionMode: NONE}
enableAutoMtls: false
enablePrometheusMerge: false
trustDomain: cluster.local
`

// istiod is Istio's real control plane: it reads the cluster and tells the proxies what to do.
func istiod(o options) (part, error) {
	if err := os.WriteFile(o.path("mesh.yaml"), []byte(meshConfig), 0o600); err != nil {
		return part{}, err
	}
	return part{
		name:    "istiod",
		program: o.Istiod,
		dir:     o.Dir,
		env: []string{
			"POD_NAMESPACE=istio-system", "POD_NAME=istiod-0",
			// Stock Envoy lacks the filters that these two would add, and refuses the whole listener.
			"PILOT_ENABLE_METADATA_EXCHANGE=false", "PILOT_ENABLE_ALPN_FILTER=false",
			"VALIDATION_WEBHOOK_CONFIG_NAME=istio-validator", "INJECTION_WEBHOOK_CONFIG_NAME=",
		},
		args: []string{
			"discovery", "--kubeconfig=" + o.path("istiod.kubeconfig"), "--meshConfig=" + o.path("mesh.yaml"), "--networksConfig=none",
			fmt.Sprintf("--grpcAddr=:%d", xdsPort), "--secureGRPCAddr=127.0.0.1:15012",
			"--httpAddr=127.0.0.1:18080", "--httpsAddr=127.0.0.1:15017", "--monitoringAddr=127.0.0.1:15014", "--ctrlz_port=0",
		},
		ready: func(ctx context.Context) error { return answers(ctx, http.DefaultClient, istiodReadyURL) },
	}, nil
}

// mesh puts in what belongs to a mesh: Istio's own check of every routing object that is written,
// and the metrics that Istio's own Envoy would have counted (telemetry.yaml).
func (a *applier) mesh(ctx context.Context, o options) error {
	var authority string
	err := eventually(ctx, "certificate of istiod", func() error {
		secret, err := a.typed.CoreV1().Secrets("istio-system").Get(ctx, "istio-ca-secret", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if authority = string(secret.Data["ca-cert.pem"]); authority == "" {
			return fmt.Errorf("istio-ca-secret holds no certificate yet")
		}
		return nil
	})
	if err != nil {
		return err
	}
	group := errgroup.Group{}
	group.Go(func() error {
		return a.files(ctx, []string{o.Root + "/tests/cluster/telemetry.yaml"}, everything)
	})
	group.Go(func() error {
		configuration := fmt.Sprintf(webhook, base64.StdEncoding.EncodeToString([]byte(authority)))
		return a.text(ctx, "webhook of istiod", strings.NewReader(configuration))
	})
	return group.Wait()
}

// webhook registers istiod for every write to Istio's kinds, as an installed Istio does.
const webhook = `apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: istio-validator}
webhooks:
- name: rev.validation.istio.io
  clientConfig: {url: "https://localhost:15017/validate", caBundle: %s}
  rules:
  - operations: [CREATE, UPDATE]
    apiGroups: [networking.istio.io, security.istio.io, telemetry.istio.io, extensions.istio.io]
    apiVersions: ["*"]
    resources: ["*"]
  failurePolicy: Fail
  sideEffects: None
  admissionReviewVersions: [v1]
`
