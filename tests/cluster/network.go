package main

import (
	"fmt"
	"net"
	"os"
	"runtime"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// network is a network namespace inside the box, for one proxy: as in a pod, its loopback is its
// own, so every proxy can listen on the same ports. A pair of devices leads into the box, where
// all pods and istiod are.
type network struct {
	inside *os.File // the namespace
	boxIP  string   // the box's end of the pair
	ip     string   // the proxy's end
	device string
}

// newNetwork makes network number n of the box.
func newNetwork(n int) (*network, error) {
	made := &network{boxIP: fmt.Sprintf("10.245.%d.1", n), ip: fmt.Sprintf("10.245.%d.2", n), device: fmt.Sprintf("proxy%d", n)}
	err := onOwnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		var err error
		made.inside, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
	if err != nil {
		return nil, err
	}
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: made.device}, PeerName: "eth0", PeerNamespace: netlink.NsFd(made.inside.Fd())}
	if err := netlink.LinkAdd(pair); err != nil {
		return nil, fmt.Errorf("pair of network devices: %w", err)
	}
	if err := plug(made.device, made.boxIP); err != nil {
		return nil, err
	}
	return made, made.do(func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		if err := netlink.LinkSetUp(lo); err != nil {
			return err
		}
		if err := plug("eth0", made.ip); err != nil {
			return err
		}
		return netlink.RouteAdd(&netlink.Route{Gw: net.ParseIP(made.boxIP)})
	})
}

// plug gives a device of the thread's network its address. Without a handle: netlink would look
// for our thread in /proc by a number that means another one there.
func plug(device, ip string) error {
	link, err := netlink.LinkByName(device)
	if err != nil {
		return err
	}
	address, err := netlink.ParseAddr(ip + "/30")
	if err != nil {
		return err
	}
	if err := netlink.AddrAdd(link, address); err != nil {
		return err
	}
	return netlink.LinkSetUp(link)
}

// do runs f as a thread of the network: sockets that it opens, and processes that it starts,
// belong there.
func (n *network) do(f func() error) error {
	return onOwnThread(func() error {
		if err := unix.Setns(int(n.inside.Fd()), unix.CLONE_NEWNET); err != nil {
			return err
		}
		return f()
	})
}

// close gives the network up; the kernel removes it with the last process in it.
func (n *network) close() {
	if link, err := netlink.LinkByName(n.device); err == nil {
		_ = netlink.LinkDel(link)
	}
	n.inside.Close()
}

// onOwnThread runs f on a thread that ends with it, so that no other goroutine ever runs in the
// namespace that f moved to.
func onOwnThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		done <- f()
	}()
	return <-done
}
