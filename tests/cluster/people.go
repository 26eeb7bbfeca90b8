package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"strings"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

const audience = "https://kubernetes.default.svc"

// The people who may sign in, and their groups. What each may do is in people.yaml. Tokens are
// new in every cluster: a port on loopback is open to every user of the machine.
var people = []struct{ name, groups string }{
	{"admin", "system:masters"},
	{"amy", "release-managers"},
	{"vic", "viewers"},
	{"aud", "auditors"},
	{"nobody", ""},
}

// The parts sign in by name too, so that managedFields and logs tell who wrote. Only their
// kubeconfigs hold these tokens, and those lead to the API server inside the box.
var parts = []struct{ file, name string }{
	{"controllers", "system:kube-controller-manager"},
	{"scheduler", "system:kube-scheduler"},
	{"kubelet", "system:node:" + nodeName},
	{"writer", "tests"},
	{"istiod", "system:serviceaccount:istio-system:istiod"},
	{"box", "tests-box"},
}

// makePeople writes the file of tokens and the kubeconfigs of the parts; it returns the people's tokens.
func makePeople(o options) (map[string]string, error) {
	tokens := map[string]string{}
	var lines strings.Builder
	for _, p := range people {
		tokens[p.name] = randomHex()
		fmt.Fprintf(&lines, "%s,%s,%s,%q\n", tokens[p.name], p.name, p.name, p.groups)
	}
	for _, p := range parts {
		token := randomHex()
		fmt.Fprintf(&lines, "%s,%s,%s,\"system:masters\"\n", token, p.name, p.name)
		if err := writeKubeconfig(o, p.file, token, 6443); err != nil {
			return nil, err
		}
	}
	return tokens, os.WriteFile(o.path("tokens.csv"), []byte(lines.String()), 0o600)
}

func writeKubeconfig(o options, name, token string, port int) error {
	config := clientcmdapi.NewConfig()
	config.Clusters["test"] = &clientcmdapi.Cluster{Server: fmt.Sprintf("https://127.0.0.1:%d", port), CertificateAuthority: o.path("ca.crt")}
	config.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: token}
	config.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: name}
	config.CurrentContext = "test"
	return clientcmd.WriteToFile(*config, o.path(name+".kubeconfig"))
}

// makeKeys writes a certificate authority, the API server's certificate and the key that signs
// service account tokens. ECDSA: made in no time, where the API server's own RSA keys take half a second.
func makeKeys(o options) error {
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sluice test cluster"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(0, 0, 30),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	signed, err := x509.CreateCertificate(rand.Reader, authority, authority, &authorityKey.PublicKey, authorityKey)
	if err != nil {
		return err
	}
	if err := writePEM(o.path("ca.crt"), "CERTIFICATE", signed); err != nil {
		return err
	}
	serverKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	server := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "kube-apiserver"},
		NotBefore: authority.NotBefore, NotAfter: authority.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(10, 96, 0, 1)},
	}
	signed, err = x509.CreateCertificate(rand.Reader, server, authority, &serverKey.PublicKey, authorityKey)
	if err != nil {
		return err
	}
	if err := writePEM(o.path("tls.crt"), "CERTIFICATE", signed); err != nil {
		return err
	}
	if err := writeKey(o.path("tls.key"), serverKey); err != nil {
		return err
	}
	accountsKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(&accountsKey.PublicKey)
	if err != nil {
		return err
	}
	if err := writePEM(o.path("sa.pub"), "PUBLIC KEY", public); err != nil {
		return err
	}
	return writeKey(o.path("sa.key"), accountsKey)
}

func writeKey(path string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return writePEM(path, "EC PRIVATE KEY", der)
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
