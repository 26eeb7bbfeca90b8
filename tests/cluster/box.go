package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The networks of the cluster. Every address in them is local to the box, so any process in it
// may listen on a pod's or a service's address, and nothing leaves the machine.
// EndpointSlices refuse loopback addresses, hence these.
const (
	podNetwork     = "10.244.0.0/16"
	serviceNetwork = "10.96.0.0/16"
)

// box runs the cluster inside its namespaces, as process 1 of them, until its lifeline is cut.
func box() int {
	o, err := decodeOptions()
	if err != nil {
		return fail(err)
	}
	reports := os.NewFile(fdReports, "reports")
	ctx, cancel := context.WithTimeout(context.Background(), o.Timeout)
	defer cancel()
	if os.Getpid() != 1 {
		return fail(errors.New("box is started by up only, as process 1 of its own namespace"))
	}
	c := newCluster(o)
	go func() {
		waitForEnd()
		c.end()
	}()
	r, err := c.start(ctx)
	if err != nil {
		r = report{Error: err.Error()}
		fmt.Fprintln(os.Stderr, "cluster:", err)
		c.printLogs(os.Stderr)
	}
	_ = json.NewEncoder(reports).Encode(r)
	reports.Close()
	select {} // until end
}

// waitForEnd returns when up is gone, or asks for the end.
func waitForEnd() {
	gone := make(chan struct{}, 2)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() { <-signals; gone <- struct{}{} }()
	go func() {
		_, _ = io.Copy(io.Discard, os.NewFile(fdLifeline, "lifeline"))
		gone <- struct{}{}
	}()
	<-gone
}

// end leaves. The parts need no goodbye: their data goes too, and the kernel ends every process
// of our process namespace with us. They are killed first only so that none writes into the
// directory while it is removed.
func (c *cluster) end() {
	time.AfterFunc(endingAtMost/2, func() { os.Exit(exitFailed) })
	for _, p := range c.started() {
		p.kill()
	}
	for try := 0; try < 20 && os.RemoveAll(c.Dir) != nil; try++ {
		time.Sleep(25 * time.Millisecond)
	}
	os.Exit(0)
}

// openNetwork brings up the loopback device and makes both cluster networks local to it.
func openNetwork() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return err
	}
	for _, network := range []string{podNetwork, serviceNetwork} {
		_, to, err := net.ParseCIDR(network)
		if err != nil {
			return err
		}
		route := netlink.Route{LinkIndex: lo.Attrs().Index, Dst: to, Type: unix.RTN_LOCAL, Table: unix.RT_TABLE_LOCAL, Scope: netlink.SCOPE_HOST}
		if err := netlink.RouteAdd(&route); err != nil {
			return fmt.Errorf("route to %s: %w", network, err)
		}
	}
	return nil
}

// forward takes connections on a listener of the host and carries their bytes to an address in
// the box. When nothing answers there, the caller sees a reset, as from a server that died.
func forward(fd uintptr, name, to string) error {
	l, err := inherited(fd, name)
	if err != nil {
		return err
	}
	go func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			go carry(from.(*net.TCPConn), to)
		}
	}()
	return nil
}

func carry(from *net.TCPConn, to string) {
	defer from.Close()
	conn, err := net.DialTimeout("tcp4", to, 5*time.Second)
	if err != nil {
		_ = from.SetLinger(0)
		return
	}
	inner := conn.(*net.TCPConn)
	defer inner.Close()
	done := make(chan error, 2)
	pipe := func(dst, src *net.TCPConn) {
		_, err := io.Copy(dst, src) // splice(2): the bytes stay in the kernel
		_ = dst.CloseWrite()
		done <- err
	}
	go pipe(inner, from)
	go pipe(from, inner)
	for range 2 {
		if err := <-done; err != nil {
			// One side was reset: so is the other, at once.
			_ = from.SetLinger(0)
			_ = inner.SetLinger(0)
			return
		}
	}
}

func inherited(fd uintptr, name string) (net.Listener, error) {
	f := os.NewFile(fd, name)
	defer f.Close()
	return net.FileListener(f)
}
