package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// samples applies every file of the folder and waits until the pods of each namespace are
// settled: as many as asked for, each judged by the kubelet and known to its EndpointSlices.
func (a *applier) samples(ctx context.Context, folder string) error {
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("no samples in %s: %w", folder, err)
	}
	slices.Sort(files)
	if err := a.files(ctx, files, everything); err != nil {
		return err
	}
	return eventually(ctx, "pods of the samples", func() error { return a.settled(ctx) })
}

func (a *applier) settled(ctx context.Context) error {
	all := metav1.ListOptions{}
	deployments, err := a.typed.AppsV1().Deployments("").List(ctx, all)
	if err != nil {
		return err
	}
	wanted := 0
	for _, d := range deployments.Items {
		wanted += int(*d.Spec.Replicas)
		if !observed(&d) {
			return fmt.Errorf("%s/%s: its controller has not seen it", d.Namespace, d.Name)
		}
	}
	pods, err := a.typed.CoreV1().Pods("").List(ctx, all)
	if err != nil {
		return err
	}
	addresses := map[string]bool{}
	for _, p := range pods.Items {
		if len(p.Status.ContainerStatuses) > 0 {
			addresses[p.Status.PodIP] = true
		}
	}
	if len(addresses) != wanted {
		return fmt.Errorf("%d of %d pods are settled", len(addresses), wanted)
	}
	slices, err := a.typed.DiscoveryV1().EndpointSlices("").List(ctx, all)
	if err != nil {
		return err
	}
	for _, s := range slices.Items {
		for _, e := range s.Endpoints {
			forget(addresses, e)
		}
	}
	if len(addresses) > 0 {
		return fmt.Errorf("%d pods are in no EndpointSlice", len(addresses))
	}
	return nil
}

func observed(d *appsv1.Deployment) bool {
	return d.Status.ObservedGeneration >= d.Generation && d.Status.Replicas == *d.Spec.Replicas
}

func forget(addresses map[string]bool, e discoveryv1.Endpoint) {
	for _, a := range e.Addresses {
		delete(addresses, a)
	}
}
