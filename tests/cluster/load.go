package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// order is a load that a test asks for. Field names are those of tests/it/support/mesh.rs.
type order struct {
	From     string  `json:"from"`     // name of the proxy beside which the requests are made
	Port     int     `json:"port"`     // on the proxy's loopback
	Speaks   string  `json:"speaks"`   // "http" (also when empty), "tcp", "tls"
	Requests []ask   `json:"requests"` // sent in turn, again and again
	Streams  int     `json:"streams"`  // keep-alive connections, each one request at a time
	Count    int     `json:"count"`    // ends after so many requests
	Seconds  float64 `json:"seconds"`  // or after that time, whatever comes first; at most 300
	Rate     float64 `json:"rate"`     // requests a second over all connections; 0: as fast as they go
	Each     bool    `json:"each"`     // tell every answer, in the order of asking
}

type ask struct {
	Method  string            `json:"method"`
	Host    string            `json:"host"` // for tls: the name in the handshake
	Path    string            `json:"path"`
	Headers map[string]string `json:"headers"`
}

// answer is what came back for one request.
type answer struct {
	Status   int     `json:"status"` // 0: none, see Error
	App      string  `json:"app"`
	Version  string  `json:"version"`
	Pod      string  `json:"pod"`
	Host     string  `json:"host"` // as the backend saw it
	Path     string  `json:"path"` // as the backend saw it
	Location string  `json:"location"`
	Flags    string  `json:"flags"` // Envoy's, when Envoy itself answered
	Error    string  `json:"error"`
	Millis   float64 `json:"millis"`
	At       float64 `json:"at"` // when it was asked, milliseconds since 1970

	Headers map[string]string `json:"headers,omitempty"` // of the answer, lower case; only where each answer is told
}

// key is what answers are counted by: `200 reviews v1`; `503 UH` when Envoy itself answered.
func (a answer) key() string {
	switch {
	case a.Status == 0:
		return "error: " + a.Error
	case a.App == "":
		return strings.TrimSpace(fmt.Sprintf("%d %s", a.Status, a.Flags))
	default:
		return fmt.Sprintf("%d %s %s", a.Status, a.App, a.Version)
	}
}

// outcome is what a load amounted to.
type outcome struct {
	Sent     int                `json:"sent"`
	Answers  map[string]int     `json:"answers"`
	Millis   map[string]float64 `json:"millis"`   // p50, p99, max
	Failures []answer           `json:"failures"` // the first 20 that are no 2xx or 3xx
	Each     []answer           `json:"each,omitempty"`
}

// load runs one order inside the network of its proxy until it is done or ctx ends.
func (c *cluster) load(ctx context.Context, o order) (outcome, error) {
	p, err := c.proxy(o.From)
	if err != nil {
		return outcome{}, err
	}
	if len(o.Requests) == 0 || o.Port == 0 || (o.Count == 0 && o.Seconds == 0) {
		return outcome{}, errors.New("a load needs requests, a port, and an end")
	}
	limit := 300.0
	if o.Seconds > 0 {
		limit = min(limit, o.Seconds)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(limit*float64(time.Second)))
	defer cancel()
	dial := func(ctx context.Context, _, _ string) (conn net.Conn, err error) {
		err = p.network.do(func() error {
			conn, err = (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp4", fmt.Sprintf("127.0.0.1:%d", o.Port))
			return err
		})
		return conn, err
	}
	started := time.Now()
	var turn atomic.Int64
	streams := max(1, o.Streams)
	parts := make([][]turned, streams)
	var group sync.WaitGroup
	for s := range streams {
		group.Go(func() {
			speak := speaker(o.Speaks, dial, o.Each)
			for {
				n := turn.Add(1) - 1
				if o.Count > 0 && n >= int64(o.Count) {
					return
				}
				if o.Rate > 0 {
					due := started.Add(time.Duration(float64(n) / o.Rate * float64(time.Second)))
					select {
					case <-ctx.Done():
					case <-time.After(time.Until(due)):
					}
				}
				if ctx.Err() != nil {
					return
				}
				asked := time.Now()
				a := speak(o.Requests[n%int64(len(o.Requests))])
				a.At = float64(asked.UnixMicro()) / 1000
				a.Millis = float64(time.Since(asked).Microseconds()) / 1000
				parts[s] = append(parts[s], turned{n, a})
			}
		})
	}
	group.Wait()
	return summary(parts, o.Each), nil
}

// turned is an answer and whose turn it was.
type turned struct {
	turn int64
	answer
}

func summary(parts [][]turned, each bool) outcome {
	r := outcome{Answers: map[string]int{}, Millis: map[string]float64{}, Failures: []answer{}}
	all := slices.Concat(parts...)
	r.Sent = len(all)
	times := make([]float64, 0, len(all))
	for _, a := range all {
		key := a.key()
		r.Answers[key]++
		times = append(times, a.Millis)
		if (a.Status < 200 || a.Status >= 400) && len(r.Failures) < 20 {
			r.Failures = append(r.Failures, a.answer)
		}
	}
	if len(times) > 0 {
		slices.Sort(times)
		at := func(q float64) float64 { return times[int(q*float64(len(times)-1))] }
		r.Millis = map[string]float64{"p50": at(0.5), "p99": at(0.99), "max": at(1)}
	}
	if each {
		slices.SortFunc(all, func(a, b turned) int { return int(a.turn - b.turn) })
		for _, a := range all {
			r.Each = append(r.Each, a.answer)
		}
	}
	return r
}

type dialer func(ctx context.Context, network, address string) (net.Conn, error)

// speaker gives what sends one request and waits for its answer, on a connection of its own that
// stays open (HTTP) or is new each time (TCP and TLS, where a connection is what is routed).
func speaker(speaks string, dial dialer, each bool) func(ask) answer {
	if speaks == "tcp" || speaks == "tls" {
		return func(a ask) answer { return knock(a, speaks == "tls", dial) }
	}
	transport := &http.Transport{DialContext: dial, MaxIdleConnsPerHost: 1, MaxConnsPerHost: 1, DisableCompression: true, ResponseHeaderTimeout: 20 * time.Second}
	return func(a ask) answer {
		path, query, _ := strings.Cut(a.Path, "?")
		method := a.Method
		if method == "" {
			method = http.MethodGet
		}
		// Host is the same for the transport, so that there is one connection; the header says which is meant.
		request := &http.Request{Method: method, URL: &url.URL{Scheme: "http", Host: "proxy", Opaque: path, RawQuery: query}, Host: a.Host, Header: http.Header{}}
		for name, value := range a.Headers {
			request.Header.Set(name, value)
		}
		response, err := transport.RoundTrip(request)
		if err != nil {
			return answer{Error: err.Error()}
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil {
			return answer{Error: err.Error()}
		}
		header := response.Header
		flags := ""
		if header.Get("x-app") == "" {
			flags = strings.TrimSpace(string(body[:min(len(body), 40)]))
		}
		return answer{
			Status: response.StatusCode, Flags: flags, App: header.Get("x-app"), Version: header.Get("x-version"), Pod: header.Get("x-pod"),
			Host: header.Get("x-seen-host"), Path: header.Get("x-seen-path"), Location: header.Get("location"),
			Headers: told(header, each),
		}
	}
}

func told(header http.Header, each bool) map[string]string {
	if !each {
		return nil
	}
	all := map[string]string{}
	for name, values := range header {
		all[strings.ToLower(name)] = strings.Join(values, ",")
	}
	return all
}

// knock opens a connection, says a word and reads who answered.
func knock(a ask, secret bool, dial dialer) answer {
	conn, err := dial(context.Background(), "", "")
	if err != nil {
		return answer{Error: err.Error()}
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if secret {
		conn = tls.Client(conn, &tls.Config{ServerName: a.Host, InsecureSkipVerify: true}) // who answers is the question
	} else if _, err := fmt.Fprintln(conn, "who is there?"); err != nil {
		return answer{Error: err.Error()}
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return answer{Error: err.Error()}
	}
	words := strings.Fields(line)
	if len(words) != 3 {
		return answer{Error: "strange answer: " + line}
	}
	return answer{Status: 200, App: words[0], Version: words[1], Pod: words[2]}
}

// loads are those that run until they are stopped.
type loads struct {
	mu      sync.Mutex
	last    int
	running map[int]*runningLoad
}

type runningLoad struct {
	cancel context.CancelFunc
	done   chan struct{}
	result outcome
	err    error
}

func (c *cluster) startLoad(o order) string {
	ctx, cancel := context.WithCancel(context.Background())
	one := &runningLoad{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(one.done)
		one.result, one.err = c.load(ctx, o)
	}()
	c.loads.mu.Lock()
	defer c.loads.mu.Unlock()
	c.loads.last++
	c.loads.running[c.loads.last] = one
	return fmt.Sprint(c.loads.last)
}

func (c *cluster) stopLoad(id int) (string, error) {
	c.loads.mu.Lock()
	one := c.loads.running[id]
	delete(c.loads.running, id)
	c.loads.mu.Unlock()
	if one == nil {
		return "", fmt.Errorf("no load %d", id)
	}
	one.cancel()
	<-one.done
	if one.err != nil {
		return "", one.err
	}
	text, err := json.Marshal(one.result)
	return string(text), err
}
