package main

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
)

const (
	nodeName = "node-1"
	nodeIP   = "10.244.255.1"
	// readyAnnotation: "false" on a running pod makes it unready, anything else ready again.
	readyAnnotation = "tests.sluice/ready"
)

// kubeletPart is our stand-in for a kubelet: it runs nothing, and says of the pods of its one
// node what a kubelet would say. The tag of an image decides:
//
//	…broken…    the container waits with ImagePullBackOff, the pod stays Pending
//	…unready…   the container runs and never becomes ready
//	otherwise   running and ready at once
//
// With a mesh something answers on the pods' addresses too (backend.go).
func kubeletPart(o options) part {
	p := part{name: "kubelet", args: []string{"--kubeconfig=" + o.path("kubelet.kubeconfig")}}
	if o.Mesh {
		p.args = append(p.args, "--backends", "--certificate="+o.path("tls.crt"), "--key="+o.path("tls.key"))
	}
	return p
}

func kubelet(args []string) int {
	flags := flag.NewFlagSet("kubelet", flag.ContinueOnError)
	kubeconfig := flags.String("kubeconfig", "", "how to reach the API server")
	answering := flags.Bool("backends", false, "answer on the pods' addresses")
	certificate := flags.String("certificate", "", "shown by backends that speak TLS")
	key := flags.String("key", "", "of the certificate")
	if err := flags.Parse(args); err != nil {
		return exitUsage
	}
	config, err := clientConfig(*kubeconfig)
	if err != nil {
		return fail(err)
	}
	config.ContentType = "application/vnd.kubernetes.protobuf"
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fail(err)
	}
	ctx := context.Background()
	if err := eventually(ctx, "node", func() error { return registerNode(ctx, client) }); err != nil {
		return fail(err)
	}
	k := &standIn{client: client, queue: workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[string]()), addresses: map[string]netip.Addr{}}
	if *answering {
		pair, err := tls.LoadX509KeyPair(*certificate, *key)
		if err != nil {
			return fail(err)
		}
		k.backends = newBackends(pair)
		if err := k.backends.serveCounts(); err != nil {
			return fail(err)
		}
	}
	k.watch(ctx)
	return 0
}

func registerNode(ctx context.Context, client *kubernetes.Clientset) error {
	room := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("10k"), corev1.ResourceMemory: resource.MustParse("100Ti"),
		corev1.ResourcePods: resource.MustParse("60k"), corev1.ResourceEphemeralStorage: resource.MustParse("100Ti"),
	}
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: nodeName, Labels: map[string]string{"kubernetes.io/hostname": nodeName, "kubernetes.io/os": "linux", "kubernetes.io/arch": runtime.GOARCH}},
		Status: corev1.NodeStatus{
			Capacity: room, Allocatable: room,
			Addresses:  []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: nodeIP}},
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", LastHeartbeatTime: metav1.Now(), LastTransitionTime: metav1.Now()}},
		},
	}
	_, err := client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

type standIn struct {
	client *kubernetes.Clientset
	queue  workqueue.TypedRateLimitingInterface[string]
	pods   cache.Store

	backends *backends // nil: nothing answers

	mu        sync.Mutex
	last      netip.Addr
	addresses map[string]netip.Addr // by uid of the pod
}

// watch follows the pods of the node for ever, with a few workers: each write is a round trip.
func (k *standIn) watch(ctx context.Context) {
	factory := informers.NewSharedInformerFactoryWithOptions(k.client, 0, informers.WithTweakListOptions(func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector("spec.nodeName", nodeName).String()
	}))
	informer := factory.Core().V1().Pods().Informer()
	k.pods = informer.GetStore()
	enqueue := func(o any) {
		if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(o); err == nil {
			k.queue.Add(key)
		}
	}
	_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    enqueue,
		UpdateFunc: func(_, now any) { enqueue(now) },
		DeleteFunc: func(o any) {
			if gone, ok := o.(cache.DeletedFinalStateUnknown); ok {
				o = gone.Obj
			}
			if pod, ok := o.(*corev1.Pod); ok {
				k.release(string(pod.UID))
				if k.backends != nil {
					k.backends.end(string(pod.UID))
				}
			}
		},
	})
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	for range 8 {
		go func() {
			for {
				key, _ := k.queue.Get()
				if err := k.tend(ctx, key); err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
					fmt.Fprintf(os.Stderr, "%s: %v\n", key, err)
					k.queue.AddRateLimited(key)
				} else {
					k.queue.Forget(key)
				}
				k.queue.Done(key)
			}
		}()
	}
	<-ctx.Done()
}

// tend brings one pod to what a kubelet would have made of it. A conflict needs no second try:
// whatever changed the pod comes as an event of its own.
func (k *standIn) tend(ctx context.Context, key string) error {
	found, exists, err := k.pods.GetByKey(key)
	if err != nil || !exists {
		return err
	}
	pod := found.(*corev1.Pod)
	if pod.DeletionTimestamp != nil {
		now := int64(0)
		return k.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &now, Preconditions: metav1.NewUIDPreconditions(string(pod.UID))})
	}
	status := k.statusOf(pod)
	if k.backends != nil {
		// Before anybody hears that the pod is ready.
		answering := pod.DeepCopy()
		answering.Status = *status
		if err := k.backends.tend(answering); err != nil {
			return err
		}
	}
	if sameStatus(&pod.Status, status) {
		return nil
	}
	changed := pod.DeepCopy()
	changed.Status = *status
	_, err = k.client.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, changed, metav1.UpdateOptions{FieldManager: "kubelet"})
	return err
}

// statusOf is what a kubelet would say about the pod now.
func (k *standIn) statusOf(pod *corev1.Pod) *corev1.PodStatus {
	status := pod.Status.DeepCopy()
	now := metav1.NewTime(time.Now())
	if status.StartTime == nil {
		status.StartTime = &now
	}
	status.HostIP = nodeIP
	status.HostIPs = []corev1.HostIP{{IP: nodeIP}}
	status.PodIP = k.address(string(pod.UID), status.PodIP)
	status.PodIPs = []corev1.PodIP{{IP: status.PodIP}}
	status.Phase = corev1.PodRunning
	status.ContainerStatuses = nil
	var unready []string
	for _, c := range pod.Spec.Containers {
		s := containerStatus(c, *status.StartTime, pod.Annotations[readyAnnotation] != "false")
		if !s.Ready {
			unready = append(unready, c.Name)
		}
		if s.State.Waiting != nil {
			status.Phase = corev1.PodPending
		}
		status.ContainerStatuses = append(status.ContainerStatuses, s)
	}
	setCondition(status, corev1.PodInitialized, nil, now)
	setCondition(status, corev1.ContainersReady, unready, now)
	setCondition(status, corev1.PodReady, unready, now)
	return status
}

func containerStatus(c corev1.Container, started metav1.Time, ready bool) corev1.ContainerStatus {
	tag := tagOf(c.Image)
	s := corev1.ContainerStatus{Name: c.Name, Image: c.Image}
	if strings.Contains(tag, "broken") {
		s.State.Waiting = &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: fmt.Sprintf("Back-off pulling image %q", c.Image)}
		s.Started = new(bool)
		return s
	}
	running := true
	s.Started = &running
	s.State.Running = &corev1.ContainerStateRunning{StartedAt: started}
	s.ImageID = c.Image
	s.ContainerID = "stand-in://" + c.Name
	s.Ready = ready && !strings.Contains(tag, "unready")
	return s
}

// tagOf is what follows the last colon of an image, a port of a registry apart.
func tagOf(image string) string {
	name := image[strings.LastIndex(image, "/")+1:]
	_, tag, _ := strings.Cut(name, ":")
	return tag
}

func setCondition(status *corev1.PodStatus, kind corev1.PodConditionType, unready []string, now metav1.Time) {
	wanted := corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: now}
	if len(unready) > 0 {
		wanted.Status = corev1.ConditionFalse
		wanted.Reason = "ContainersNotReady"
		wanted.Message = fmt.Sprintf("containers with unready status: %v", unready)
	}
	for i, c := range status.Conditions {
		if c.Type == kind {
			if c.Status == wanted.Status {
				wanted.LastTransitionTime = c.LastTransitionTime
			}
			status.Conditions[i] = wanted
			return
		}
	}
	status.Conditions = append(status.Conditions, wanted)
}

// sameStatus compares what tend decides about; times follow from it.
func sameStatus(a, b *corev1.PodStatus) bool {
	if a.Phase != b.Phase || a.PodIP != b.PodIP || len(a.ContainerStatuses) != len(b.ContainerStatuses) {
		return false
	}
	for i := range a.ContainerStatuses {
		x, y := a.ContainerStatuses[i], b.ContainerStatuses[i]
		if x.Name != y.Name || x.Image != y.Image || x.Ready != y.Ready || (x.State.Waiting == nil) != (y.State.Waiting == nil) {
			return false
		}
	}
	return true
}

// address gives each pod an address of its own in the pod network, and keeps the one it has.
func (k *standIn) address(uid, has string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if a, ok := k.addresses[uid]; ok {
		return a.String()
	}
	if a, err := netip.ParseAddr(has); err == nil {
		k.addresses[uid] = a
		return has
	}
	taken := make(map[netip.Addr]bool, len(k.addresses))
	for _, a := range k.addresses {
		taken[a] = true
	}
	// Pods live in the lower half of the network; the node's address is in the upper.
	half := netip.MustParsePrefix("10.244.0.0/17")
	next := k.last.Next()
	for !half.Contains(next) || taken[next] || next == half.Addr() {
		if !half.Contains(next) {
			next = half.Addr()
		}
		next = next.Next()
	}
	k.last = next
	k.addresses[uid] = next
	return next.String()
}

func (k *standIn) release(uid string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.addresses, uid)
}
