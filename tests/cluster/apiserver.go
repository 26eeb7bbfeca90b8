package main

import (
	"context"
	"crypto/tls"
	"net/http"
	"os"
)

// apiServerAddress is where the API server listens in the box; the host reaches it through forward.
const apiServerAddress = "127.0.0.1:6443"

// auditPolicy records what Sluice itself asks for, so that a test can compare the rights that it
// used with the rights that deploy/ gives.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  users: ["system:serviceaccount:sluice:sluice"]
- level: None
`

func apiServer(o options) (part, error) {
	if err := os.WriteFile(o.path("audit-policy.yaml"), []byte(auditPolicy), 0o600); err != nil {
		return part{}, err
	}
	// Only asks whether it is up; everything else verifies the certificate.
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	return part{
		name: "kube-apiserver",
		args: append([]string{
			"--etcd-servers=" + etcdURL,
			"--bind-address=127.0.0.1", "--secure-port=6443", "--advertise-address=127.0.0.1",
			"--cert-dir=" + o.path("certs"),
			"--tls-cert-file=" + o.path("tls.crt"), "--tls-private-key-file=" + o.path("tls.key"),
			"--service-cluster-ip-range=" + serviceNetwork,
			"--service-account-issuer=" + audience,
			"--service-account-key-file=" + o.path("sa.pub"),
			"--service-account-signing-key-file=" + o.path("sa.key"),
			"--api-audiences=" + audience + ",istio-ca",
			"--token-auth-file=" + o.path("tokens.csv"),
			"--authorization-mode=RBAC",
			// No token controller runs here, so pods are admitted without a mounted token.
			"--disable-admission-plugins=ServiceAccount,TaintNodesByCondition",
			"--endpoint-reconciler-type=none",
			"--audit-policy-file=" + o.path("audit-policy.yaml"),
			"--audit-log-path=" + o.path("audit.log"),
			"--audit-log-mode=blocking",
			"--profiling=false",
		}, o.APIServerArgs...),
		ready: func(ctx context.Context) error { return answers(ctx, client, "https://"+apiServerAddress+"/readyz") },
	}, nil
}
