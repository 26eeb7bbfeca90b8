package main

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Exit codes that the scripts and the tests tell apart.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitImpossible  = 3 // this machine does not let us make a network namespace
	endingAtMost    = 10 * time.Second
	boxCommand      = "box"
	dirPrefix       = "sluice-cluster-"
	dirPrefixNewest = "sluice-cluster.starting-"
)

// up is the host side. It stays in the host's network, holds the two listeners there, and passes
// them to the box: a process in a network, process and (when not root) user namespace of its own.
// A listening socket belongs to the network in which it was made, whoever accepts on it: so the
// box can answer on the host's loopback and dial its own. The namespaces have no names and end
// with the box; the box is process 1 of its own process namespace, so the kernel ends every
// process in it together with it.
func up(args []string) int {
	o, err := parseOptions(args)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		return exitUsage
	}
	o.Started = time.Now()
	sweep(o.Parent)
	lock, err := makeDir(&o)
	if err != nil {
		return fail(err)
	}
	defer lock.Close()
	defer os.RemoveAll(o.Dir)

	api, err := listen(o.Port)
	if err != nil {
		return fail(err)
	}
	control, err := listen(0)
	if err != nil {
		return fail(err)
	}
	metrics, err := listen(0)
	if err != nil {
		return fail(err)
	}
	o.HostPort = portOf(api)
	o.Metrics = fmt.Sprintf("http://127.0.0.1:%d", portOf(metrics))
	o.Secret = randomHex()
	o.Control = fmt.Sprintf("http://127.0.0.1:%d/%s", portOf(control), o.Secret)

	child, err := startBox(o, lock, api, control, metrics)
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) {
		fmt.Fprintln(os.Stderr, "cluster: no network namespace for us here: be root, or allow user namespaces")
		return exitImpossible
	}
	if err != nil {
		return fail(err)
	}
	return child.attend(o)
}

// child is the box as the host side sees it.
type child struct {
	cmd      *exec.Cmd
	lifeline *os.File // the box ends when this end is closed, however we end
	reports  *os.File
}

// The file descriptors that the box finds open, in this order.
const (
	fdLifeline = 3 + iota
	fdReports
	fdLock
	fdAPI
	fdControl
	fdMetrics
)

func startBox(o options, lock, api, control, metrics *os.File) (*child, error) {
	lifelineEnd, lifeline, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	reports, reportsEnd, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	encoded, err := o.encode()
	if err != nil {
		return nil, err
	}
	cmd := &exec.Cmd{
		Path:       "/proc/self/exe",
		Args:       []string{"cluster", boxCommand},
		Env:        append(os.Environ(), encoded),
		Stderr:     os.Stderr,
		ExtraFiles: []*os.File{lifelineEnd, reportsEnd, lock, api, control, metrics},
		SysProcAttr: &syscall.SysProcAttr{
			Setpgid:    true, // Ctrl-C is for us; we end the box in order
			Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC,
		},
	}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	for _, f := range []*os.File{lifelineEnd, reportsEnd, api, control, metrics} {
		f.Close()
	}
	return &child{cmd: cmd, lifeline: lifeline, reports: reports}, nil
}

// attend prints the report and stays until somebody asks for the end, or the box ends by itself.
func (c *child) attend(o options) int {
	ended := make(chan error, 1)
	go func() { ended <- c.cmd.Wait() }()
	asked := endAsked()
	lines := make(chan report, 1)
	go func() {
		var r report
		if err := json.NewDecoder(c.reports).Decode(&r); err != nil {
			r.Error = "the cluster ended before it was ready"
		}
		lines <- r
	}()

	code := 0
	select {
	case r := <-lines:
		if r.Ready {
			r.Pid = c.cmd.Process.Pid
			r.Seconds["total"] = time.Since(o.Started).Seconds()
			fmt.Fprintf(os.Stderr, "ready in %.1f s; export KUBECONFIG=%s\n", r.Seconds["total"], r.Kubeconfig)
		} else {
			code = exitFailed
		}
		text, _ := json.Marshal(r)
		fmt.Println(string(text))
		if r.Ready {
			select {
			case <-asked:
			case err := <-ended:
				fmt.Fprintln(os.Stderr, "cluster: ended by itself:", err)
				return exitFailed
			}
		}
	case <-asked:
	}
	c.lifeline.Close()
	select {
	case <-ended:
	case <-time.After(endingAtMost):
		_ = c.cmd.Process.Kill()
		<-ended
	}
	return code
}

// endAsked is closed at SIGINT, SIGTERM or SIGHUP, or when standard input ends. /dev/null says
// nothing about whoever started us, so it does not count as an input.
func endAsked() <-chan struct{} {
	asked := make(chan struct{}, 2)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() { <-signals; asked <- struct{}{} }()
	info, err := os.Stdin.Stat()
	null, nullErr := os.Stat(os.DevNull)
	if err == nil && nullErr == nil && !os.SameFile(info, null) && !info.Mode().IsRegular() {
		go func() {
			if _, err := io.Copy(io.Discard, os.Stdin); err == nil {
				asked <- struct{}{}
			}
		}()
	}
	return asked
}

// makeDir makes the cluster's own directory and locks it for as long as up or its box lives.
// Locked before it has its final name: a sweep never sees it unlocked.
func makeDir(o *options) (*os.File, error) {
	starting, err := os.MkdirTemp(o.Parent, dirPrefixNewest)
	if err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(starting, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, err
	}
	o.Dir = filepath.Join(o.Parent, dirPrefix+strings.TrimPrefix(filepath.Base(starting), dirPrefixNewest))
	return lock, os.Rename(starting, o.Dir)
}

// sweep removes what clusters left behind whose box was killed too. A directory counts as left
// behind when nobody holds its lock.
func sweep(parent string) {
	found, _ := filepath.Glob(filepath.Join(parent, dirPrefix+"*"))
	for _, dir := range found {
		lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR, 0)
		if err != nil {
			continue
		}
		if unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			os.RemoveAll(dir)
		}
		lock.Close()
	}
}

// listen opens a port on the host's loopback and hands out its descriptor.
func listen(port int) (*os.File, error) {
	l, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return nil, err
	}
	defer l.Close()
	return l.(*net.TCPListener).File()
}

func portOf(f *os.File) int {
	address, err := unix.Getsockname(int(f.Fd()))
	if err != nil {
		return 0
	}
	return address.(*unix.SockaddrInet4).Port
}

func randomHex() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, "cluster:", err)
	return exitFailed
}
