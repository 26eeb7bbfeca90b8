package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// part is one process of the cluster. A new one is a file of its own with a function that
// returns a part, and a line in cluster.start.
type part struct {
	name    string // of its log, and of its subcommand when it is one of ours
	program string // another program; empty: this one, with name as subcommand
	args    []string
	env     []string                    // besides our own
	dir     string                      // where it runs; empty: where we do
	network *network                    // where it runs; nil: in the box itself
	ready   func(context.Context) error // asked again and again until it returns nil; nil: at once
}

// process is a part that was started.
type process struct {
	part
	log  string
	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{} // closed when cmd has ended
}

// run starts the part, and comes back when it is ready.
func (p *process) run(ctx context.Context) error {
	if err := p.spawn(); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	if p.ready == nil {
		return nil
	}
	p.mu.Lock()
	done := p.done
	p.mu.Unlock()
	return eventually(ctx, p.name, func() error {
		select {
		case <-done:
			return fatal{fmt.Errorf("ended before it was ready; its log is %s", p.log)}
		default:
			return p.ready(ctx)
		}
	})
}

func (p *process) spawn() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(p.program, p.args...)
	if p.program == "" {
		cmd = &exec.Cmd{Path: "/proc/self/exe", Args: append([]string{"cluster", p.name}, p.args...)}
	}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir, cmd.Env = p.dir, append(os.Environ(), p.env...)
	start := cmd.Start
	if p.network != nil {
		start = func() error { return p.network.do(cmd.Start) }
	}
	if err := start(); err != nil {
		return err
	}
	done := make(chan struct{})
	p.cmd, p.done = cmd, done
	go func() { _ = cmd.Wait(); close(done) }()
	return nil
}

// signal sends s to the part; SIGSTOP freezes it, SIGCONT lets it go on.
func (p *process) signal(s syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd.Process.Signal(s)
}

// kill ends the part at once and comes back when it is gone.
func (p *process) kill() {
	_ = p.signal(syscall.SIGKILL)
	p.mu.Lock()
	done := p.done
	p.mu.Unlock()
	<-done
}

func (p *process) running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// fatal is an error that asking again will not mend.
type fatal struct{ error }

// eventually asks until the answer is nil, the context ends, or the error is fatal.
func eventually(ctx context.Context, what string, ask func() error) error {
	for {
		err := ask()
		if err == nil {
			return nil
		}
		if _, ok := err.(fatal); ok {
			return fmt.Errorf("%s: %w", what, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: not in time: %w", what, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// printLogs shows the last lines of every part, for whoever has to find out what went wrong.
func (c *cluster) printLogs(to io.Writer) {
	for _, p := range c.started() {
		text, err := os.ReadFile(p.log)
		if err != nil {
			continue
		}
		lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
		fmt.Fprintf(to, "--- last lines of %s\n%s\n", p.name, bytes.Join(lines[max(0, len(lines)-12):], []byte("\n")))
	}
}
