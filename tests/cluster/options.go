package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// options is what `up` was asked for. It crosses into the namespace as JSON in one environment
// variable, so that both sides judge by the same values.
type options struct {
	Root          string   // the repository: samples, people and deploy/ are read from there
	CRDs          string   // Istio's CustomResourceDefinitions, written by tests/cluster/up
	Parent        string   // where the cluster's own directory is made
	Port          int      // of the API server on the host's loopback; 0: any free one
	WithoutIstio  bool     // leave out Istio's CRDs
	WithoutRights bool     // leave out the ServiceAccount and the roles of deploy/
	Samples       bool     // apply samples/*.yaml and wait until their pods are settled
	APIServerArgs []string // more flags for kube-apiserver
	Timeout       time.Duration

	// The mesh: istiod with its webhook, backends on the pods' addresses, proxies, Prometheus.
	Mesh       bool
	Proxies    []string // to start with: NAMESPACE/APP for a sidecar, or gateway
	Istiod     string   // the programs; tests/cluster/parts finds them
	Envoy      string
	Prometheus string

	// Filled in by up.
	Dir      string
	HostPort int
	Metrics  string // URL of Prometheus on the host's loopback
	Control  string // URL of the control endpoint
	Secret   string // the path below which it answers
	Started  time.Time
}

const optionsVariable = "SLUICE_TEST_CLUSTER"

// repeated is a flag that may be given several times.
type repeated []string

func (r *repeated) String() string     { return strings.Join(*r, " ") }
func (r *repeated) Set(v string) error { *r = append(*r, v); return nil }

func parseOptions(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("up", flag.ContinueOnError)
	flags.StringVar(&o.Root, "root", ".", "folder of the repository")
	flags.StringVar(&o.CRDs, "crds", "", "file with Istio's CustomResourceDefinitions (default: istio-crds.yaml beside the program)")
	flags.StringVar(&o.Parent, "dir", os.TempDir(), "folder in which the cluster makes its own, removed at the end")
	flags.IntVar(&o.Port, "port", 0, "port of the API server on 127.0.0.1 (0: any free one)")
	flags.BoolVar(&o.WithoutIstio, "without-istio", false, "leave out Istio's CustomResourceDefinitions")
	flags.BoolVar(&o.WithoutRights, "without-rights", false, "leave out the ServiceAccount and roles of deploy/ (no token for sluice then)")
	flags.BoolVar(&o.Samples, "samples", false, "apply tests/cluster/samples and wait for their pods")
	flags.Var((*repeated)(&o.APIServerArgs), "apiserver-arg", "one more flag for kube-apiserver (repeatable)")
	flags.BoolVar(&o.Mesh, "mesh", false, "start istiod, its webhook, Prometheus, and something that answers for every pod")
	flags.Var((*repeated)(&o.Proxies), "proxy", "start an Envoy with the mesh: NAMESPACE/APP, or gateway (repeatable)")
	flags.StringVar(&o.Istiod, "istiod", "", "the program pilot-discovery")
	flags.StringVar(&o.Envoy, "envoy", "", "the program envoy")
	flags.StringVar(&o.Prometheus, "prometheus", "", "the program prometheus")
	flags.DurationVar(&o.Timeout, "timeout", 2*time.Minute, "give up when not ready by then")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("%q is not understood", flags.Arg(0))
	}
	if o.Mesh && (o.Istiod == "" || o.Envoy == "" || o.Prometheus == "") {
		return o, fmt.Errorf("a mesh needs --istiod, --envoy and --prometheus")
	}
	root, err := filepath.Abs(o.Root)
	if err != nil {
		return o, err
	}
	o.Root = root
	if o.CRDs == "" {
		self, err := os.Executable()
		if err != nil {
			return o, err
		}
		o.CRDs = filepath.Join(filepath.Dir(self), "istio-crds.yaml")
	}
	return o, nil
}

func (o options) encode() (string, error) {
	text, err := json.Marshal(o)
	return optionsVariable + "=" + string(text), err
}

func decodeOptions() (options, error) {
	var o options
	err := json.Unmarshal([]byte(os.Getenv(optionsVariable)), &o)
	return o, err
}

// path names a file in the cluster's own directory.
func (o options) path(name ...string) string {
	return filepath.Join(append([]string{o.Dir}, name...)...)
}

// report is the one line on standard output. Field names are read by tests/it/support/cluster.rs.
type report struct {
	Ready      bool               `json:"ready"`
	Error      string             `json:"error,omitempty"`
	Kubeconfig string             `json:"kubeconfig,omitempty"` // of the administrator; PERSON.kubeconfig lies beside it
	Server     string             `json:"server,omitempty"`
	CA         string             `json:"ca,omitempty"`
	Tokens     map[string]string  `json:"tokens,omitempty"`
	Control    string             `json:"control,omitempty"`
	Prometheus string             `json:"prometheus,omitempty"`
	Dir        string             `json:"dir,omitempty"`
	Pid        int                `json:"pid,omitempty"` // `nsenter -t PID -n` enters the cluster's network
	Seconds    map[string]float64 `json:"seconds,omitempty"`
}
