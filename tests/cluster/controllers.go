package main

// The controllers that the tests need: workloads, their pods and EndpointSlices, namespaces,
// garbage, service accounts and the volume that deploy/ asks for.
func controllers(o options) part {
	return part{
		name: "kube-controller-manager",
		args: []string{
			"--kubeconfig=" + o.path("controllers.kubeconfig"),
			"--service-account-private-key-file=" + o.path("sa.key"),
			"--use-service-account-credentials=false",
			"--leader-elect=false",
			"--secure-port=0",
			"--kube-api-qps=1000", "--kube-api-burst=2000",
			"--concurrent-deployment-syncs=10", "--concurrent-replicaset-syncs=10",
			"--controllers=deployment-controller,replicaset-controller,statefulset-controller," +
				"daemonset-controller,endpointslice-controller,namespace-controller,garbage-collector-controller," +
				"serviceaccount-controller,persistentvolume-binder-controller",
		},
	}
}
