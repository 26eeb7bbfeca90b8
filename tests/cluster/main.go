// Program cluster is the real Kubernetes control plane of the tests: etcd, kube-apiserver,
// controllers and scheduler in one binary, with a stand-in for the kubelet.
//
// `bash tests/cluster/up` builds and starts it; tests/it/support/cluster.rs starts it as a child.
// Each part runs as a process of its own (`cluster <part> flags…`), so that a test can freeze or
// kill one of them. It must never listen outside loopback, and never outlive whoever started it.
//
// Reading order: up.go (host side), box.go (inside the namespace), part.go, then one file a part.
package main

import (
	"fmt"
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubeapiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	kubecontrollers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	kubescheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

const usage = `usage: cluster up [flags]           start a cluster (see: cluster up --help)
       cluster kubectl …            the kubectl of the same version
       cluster <part> …             one part alone: etcd, kube-apiserver,
                                    kube-controller-manager, kube-scheduler, kubelet`

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	name := os.Args[1]
	// The commands below read os.Args themselves, as if each were a program of its own.
	os.Args = append([]string{name}, os.Args[2:]...)
	switch name {
	case "up":
		os.Exit(up(os.Args[1:]))
	case boxCommand:
		os.Exit(box())
	case "etcd":
		etcdmain.Main(os.Args)
	case "kube-apiserver":
		os.Exit(cli.Run(kubeapiserver.NewAPIServerCommand()))
	case "kube-controller-manager":
		os.Exit(cli.Run(kubecontrollers.NewControllerManagerCommand()))
	case "kube-scheduler":
		os.Exit(cli.Run(kubescheduler.NewSchedulerCommand()))
	case "kubelet":
		os.Exit(kubelet(os.Args[1:]))
	case "kubectl":
		os.Exit(cli.Run(kubectl.NewDefaultKubectlCommand()))
	default:
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
}
