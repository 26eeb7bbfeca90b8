package main

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
)

const (
	// countsAddress is where the kubelet tells what the backends got.
	countsAddress = "127.0.0.1:10256"
	// What a backend does to its answers; may be changed while it runs.
	latencyAnnotation = "tests.sluice/latency" // "20ms", before every answer
	errorsAnnotation  = "tests.sluice/errors"  // "5%" of the answers are 500
	// lingering is how long a backend still answers after its pod was deleted, as a preStop hook would.
	lingering = 3 * time.Second
)

// backends answer for the pods: one for each pod that runs, on the pod's own address, on every port
// that a container names. They say which version and pod they are and count what they got.
type backends struct {
	mu          sync.Mutex
	byUID       map[string]*backend
	counted     map[string]*tally // also of pods that are gone
	certificate tls.Certificate
}

// tally is what one pod got. Field names are read by tests/it/support/mesh.rs.
type tally struct {
	Namespace string       `json:"namespace"`
	App       string       `json:"app"`
	Version   string       `json:"version"`
	Pod       string       `json:"pod"`
	Requests  atomic.Int64 `json:"-"` // copies of a mirror too: Istio marks them no more
	Latest    atomic.Int64 `json:"-"` // when the latest of them came, milliseconds since 1970
	Opened    atomic.Int64 `json:"-"` // connections that spoke no HTTP
}

type backend struct {
	*tally
	behaviour atomic.Pointer[behaviour]
	server    *http.Server
	listeners []net.Listener
}

type behaviour struct {
	latency time.Duration
	errors  float64
}

func newBackends(certificate tls.Certificate) *backends {
	return &backends{byUID: map[string]*backend{}, counted: map[string]*tally{}, certificate: certificate}
}

// tend makes the pod's backend what the pod asks for now.
func (b *backends) tend(pod *corev1.Pod) error {
	if pod.Status.Phase != corev1.PodRunning || pod.Status.PodIP == "" {
		return nil
	}
	wanted, err := behaviourOf(pod)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	one, running := b.byUID[string(pod.UID)]
	if !running {
		if one, err = b.start(pod); err != nil {
			return err
		}
		b.byUID[string(pod.UID)] = one
		b.counted[pod.Namespace+"/"+pod.Name] = one.tally
	}
	one.behaviour.Store(wanted)
	return nil
}

// end lets a deleted pod answer a little longer, then closes it.
func (b *backends) end(uid string) {
	b.mu.Lock()
	one := b.byUID[uid]
	delete(b.byUID, uid)
	b.mu.Unlock()
	if one != nil {
		time.AfterFunc(lingering, func() { _ = one.server.Close() })
	}
}

func behaviourOf(pod *corev1.Pod) (*behaviour, error) {
	var wanted behaviour
	var err error
	if text := pod.Annotations[latencyAnnotation]; text != "" {
		if wanted.latency, err = time.ParseDuration(text); err != nil {
			return nil, fmt.Errorf("%s: %w", latencyAnnotation, err)
		}
	}
	if text := pod.Annotations[errorsAnnotation]; text != "" {
		percent, err := strconv.ParseFloat(strings.TrimSuffix(text, "%"), 64)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", errorsAnnotation, err)
		}
		wanted.errors = percent / 100
	}
	return &wanted, nil
}

func (b *backends) start(pod *corev1.Pod) (*backend, error) {
	version := pod.Labels["version"]
	if version == "" {
		version = pod.Labels["track"]
	}
	one := &backend{tally: &tally{Namespace: pod.Namespace, App: pod.Labels["app"], Version: version, Pod: pod.Name}}
	one.behaviour.Store(&behaviour{})
	one.server = &http.Server{Handler: one, ReadHeaderTimeout: time.Minute}
	for _, container := range pod.Spec.Containers {
		for _, port := range container.Ports {
			l, err := net.Listen("tcp4", net.JoinHostPort(pod.Status.PodIP, strconv.Itoa(int(port.ContainerPort))))
			if err != nil {
				_ = one.server.Close()
				return nil, err
			}
			requests := &spoken{Listener: l, heard: make(chan net.Conn), closed: make(chan struct{})}
			go requests.sort(one, &tls.Config{Certificates: []tls.Certificate{b.certificate}})
			go func() { _ = one.server.Serve(requests) }()
		}
	}
	return one, nil
}

func (o *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	now := o.behaviour.Load()
	o.Requests.Add(1)
	o.Latest.Store(time.Now().UnixMilli())
	if now.latency > 0 {
		time.Sleep(now.latency)
	}
	header := w.Header()
	header.Set("x-app", o.App)
	header.Set("x-version", o.Version)
	header.Set("x-pod", o.Pod)
	header.Set("x-seen-host", r.Host)
	header.Set("x-seen-path", r.RequestURI)
	header.Set("x-own", "yes")
	for name, values := range r.Header {
		if strings.HasPrefix(name, "X-") {
			header.Set("x-seen-"+name, strings.Join(values, ","))
		}
	}
	if wait, err := time.ParseDuration(r.Header.Get("x-tests-wait")); err == nil {
		time.Sleep(wait)
	}
	// The proxy says which try it is; those before this one fail.
	if first, err := strconv.Atoi(r.Header.Get("x-tests-good-from")); err == nil {
		if try, err := strconv.Atoi(r.Header.Get("x-envoy-attempt-count")); err != nil || try < first {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}
	if now.errors > 0 && rand.Float64() < now.errors {
		w.WriteHeader(http.StatusInternalServerError)
	}
	fmt.Fprintf(w, "%s %s %s\n", o.App, o.Version, o.Pod)
}

// spoken hands on the connections that speak HTTP. To any other first words it answers one line
// itself, inside TLS when they open it: enough to see where a TCP or TLS route leads.
type spoken struct {
	net.Listener
	heard  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (s *spoken) Accept() (net.Conn, error) {
	select {
	case conn := <-s.heard:
		return conn, nil
	case <-s.closed:
		return nil, net.ErrClosed
	}
}

func (s *spoken) Close() error {
	s.once.Do(func() { close(s.closed) })
	return s.Listener.Close()
}

func (s *spoken) sort(one *backend, secret *tls.Config) {
	for {
		conn, err := s.Listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		go func() {
			_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
			words := &peeked{Conn: conn, reader: bufio.NewReader(conn)}
			first, err := words.reader.Peek(4)
			_ = conn.SetReadDeadline(time.Time{})
			if err != nil {
				conn.Close()
				return
			}
			switch string(first) {
			case "GET ", "POST", "PUT ", "HEAD", "DELE", "PATC", "OPTI":
				select {
				case s.heard <- words:
				case <-s.closed:
					conn.Close()
				}
				return
			}
			one.Opened.Add(1)
			answer := net.Conn(words)
			if first[0] == 0x16 { // a TLS handshake
				answer = tls.Server(words, secret)
			}
			fmt.Fprintf(answer, "%s %s %s\n", one.App, one.Version, one.Pod)
			answer.Close()
		}()
	}
}

type peeked struct {
	net.Conn
	reader *bufio.Reader
}

func (p *peeked) Read(b []byte) (int, error) { return p.reader.Read(b) }

// serveCounts tells what every pod got since it started.
func (b *backends) serveCounts() error {
	mux := http.NewServeMux()
	mux.HandleFunc("/counts", func(w http.ResponseWriter, _ *http.Request) {
		type line struct {
			*tally
			Requests int64 `json:"requests"`
			Latest   int64 `json:"latest_ms"`
			Opened   int64 `json:"opened"`
		}
		lines := []line{}
		b.mu.Lock()
		for _, t := range b.counted {
			lines = append(lines, line{t, t.Requests.Load(), t.Latest.Load(), t.Opened.Load()})
		}
		b.mu.Unlock()
		_ = json.NewEncoder(w).Encode(lines)
	})
	l, err := net.Listen("tcp4", countsAddress)
	if err != nil {
		return err
	}
	go func() { _ = http.Serve(l, mux) }()
	return nil
}
