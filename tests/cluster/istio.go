//go:build crds

package main

// Keeps istio.io/api in go.mod: its definitions are a file beside the Go packages, which
// tests/cluster/up copies out of the module.
import _ "istio.io/api/networking/v1"
