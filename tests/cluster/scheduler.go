package main

// The scheduler decides about pods as everywhere; the node is ours (kubelet.go).
func scheduler(o options) part {
	return part{
		name: "kube-scheduler",
		args: []string{
			"--kubeconfig=" + o.path("scheduler.kubeconfig"),
			"--leader-elect=false",
			"--secure-port=0",
			"--kube-api-qps=1000", "--kube-api-burst=2000",
		},
	}
}
