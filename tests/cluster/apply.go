package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"
)

// applier creates objects from YAML files in a fresh cluster.
type applier struct {
	objects dynamic.Interface
	typed   *kubernetes.Clientset
	mu      sync.Mutex
	mapper  meta.RESTMapper
}

func newApplier(kubeconfig string) (*applier, error) {
	config, err := clientConfig(kubeconfig)
	if err != nil {
		return nil, err
	}
	objects, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	typed, err := kubernetes.NewForConfig(config)
	return &applier{objects: objects, typed: typed}, err
}

func clientConfig(kubeconfig string) (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS, config.Burst = 1000, 2000
	config.WarningHandler = rest.NoWarnings{}
	return config, nil
}

// A filter picks the objects of a file that are wanted.
func everything(*unstructured.Unstructured) bool { return true }

// isRight keeps what gives Sluice its rights, and leaves out what would run it.
func isRight(o *unstructured.Unstructured) bool {
	return slices.Contains([]string{"Namespace", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}, o.GetKind())
}

// files creates the objects of the files, each strictly validated: namespaces in their order, then
// everything else, a few at a time because each is a round trip.
func (a *applier) files(ctx context.Context, paths []string, wanted func(*unstructured.Unstructured) bool) error {
	var namespaces, others []func() error
	for _, path := range paths {
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		objects, err := readObjects(path, file)
		file.Close()
		if err != nil {
			return err
		}
		for _, o := range objects {
			create := func() error {
				if err := a.create(ctx, o); err != nil {
					return fmt.Errorf("%s: %s %s: %w", path, o.GetKind(), o.GetName(), err)
				}
				return nil
			}
			switch {
			case !wanted(o):
			case o.GetKind() == "Namespace":
				namespaces = append(namespaces, create)
			default:
				others = append(others, create)
			}
		}
	}
	for _, create := range namespaces {
		if err := create(); err != nil {
			return err
		}
	}
	group := errgroup.Group{}
	group.SetLimit(8)
	for _, create := range others {
		group.Go(create)
	}
	return group.Wait()
}

// text creates the objects of a text.
func (a *applier) text(ctx context.Context, name string, text io.Reader) error {
	objects, err := readObjects(name, text)
	if err != nil {
		return err
	}
	for _, o := range objects {
		if err := a.create(ctx, o); err != nil {
			return fmt.Errorf("%s: %s %s: %w", name, o.GetKind(), o.GetName(), err)
		}
	}
	return nil
}

// create writes one object. What Argo CD tracks is written under the name that Argo CD uses, as
// in a cluster where it did so itself; everything else as kubectl would.
func (a *applier) create(ctx context.Context, o *unstructured.Unstructured) error {
	mapping, err := a.mapping(ctx, o.GroupVersionKind())
	if err != nil {
		return err
	}
	manager := "kubectl-create"
	if _, tracked := o.GetAnnotations()["argocd.argoproj.io/tracking-id"]; tracked {
		manager = "argocd-controller"
	}
	into := dynamic.ResourceInterface(a.objects.Resource(mapping.Resource))
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		into = a.objects.Resource(mapping.Resource).Namespace(o.GetNamespace())
	}
	_, err = into.Create(ctx, o, metav1.CreateOptions{FieldManager: manager, FieldValidation: metav1.FieldValidationStrict})
	if apierrors.IsAlreadyExists(err) && o.GetKind() == "Namespace" {
		return nil
	}
	return err
}

// mapping finds the resource of a kind. The API server learns of a new kind a moment after its
// definition was accepted, so an unknown one is looked up again.
func (a *applier) mapping(ctx context.Context, kind schema.GroupVersionKind) (*meta.RESTMapping, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var found *meta.RESTMapping
	err := eventually(ctx, kind.String(), func() error {
		if a.mapper != nil {
			var err error
			if found, err = a.mapper.RESTMapping(kind.GroupKind(), kind.Version); err == nil {
				return nil
			}
		}
		groups, err := restmapper.GetAPIGroupResources(a.typed.Discovery())
		if err != nil {
			return err
		}
		a.mapper = restmapper.NewDiscoveryRESTMapper(groups)
		found, err = a.mapper.RESTMapping(kind.GroupKind(), kind.Version)
		return err
	})
	return found, err
}

// definitions creates Istio's kinds all at once and waits until the API server serves them.
func (a *applier) definitions(ctx context.Context, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	const url = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
	client := a.typed.ExtensionsV1beta1().RESTClient()
	group := errgroup.Group{}
	for document := range bytes.SplitSeq(text, []byte("\n---\n")) {
		group.Go(func() error {
			// Sent as the YAML that it is: turning a megabyte into JSON first takes longer.
			return client.Post().AbsPath(url).SetHeader("Content-Type", "application/yaml").Body(document).Do(ctx).Error()
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	definitions := a.objects.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	return eventually(ctx, "definitions established", func() error {
		all, err := definitions.List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, d := range all.Items {
			if !hasCondition(&d, "Established") {
				return fmt.Errorf("%s is not established", d.GetName())
			}
		}
		return nil
	})
}

func hasCondition(o *unstructured.Unstructured, kind string) bool {
	conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	return slices.ContainsFunc(conditions, func(c any) bool {
		condition, ok := c.(map[string]any)
		return ok && condition["type"] == kind && condition["status"] == "True"
	})
}

// serviceAccountToken asks the API server for a token, as a kubelet would for a pod.
func (a *applier) serviceAccountToken(ctx context.Context, namespace, name string) (string, error) {
	day := int64(24 * 60 * 60)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &day}}
	answer, err := a.typed.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, name, request, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	return answer.Status.Token, nil
}

// deployFiles are the files of the kustomize base, in the order in which it names them.
func deployFiles(root string) []string {
	base := filepath.Join(root, "deploy", "kustomize", "base")
	var kustomization struct{ Resources []string }
	text, err := os.ReadFile(filepath.Join(base, "kustomization.yaml"))
	if err == nil {
		err = yaml.Unmarshal(text, &kustomization)
	}
	if err != nil {
		return []string{filepath.Join(base, "kustomization.yaml")} // reading it again tells why
	}
	files := make([]string, 0, len(kustomization.Resources))
	for _, name := range kustomization.Resources {
		files = append(files, filepath.Join(base, name))
	}
	return files
}

func readObjects(name string, text io.Reader) ([]*unstructured.Unstructured, error) {
	decoder := utilyaml.NewYAMLOrJSONDecoder(text, 4096)
	var objects []*unstructured.Unstructured
	for {
		o := &unstructured.Unstructured{}
		switch err := decoder.Decode(&o.Object); {
		case errors.Is(err, io.EOF):
			return objects, nil
		case err != nil:
			return nil, fmt.Errorf("%s: %w", name, err)
		case len(o.Object) > 0:
			objects = append(objects, o)
		}
	}
}
