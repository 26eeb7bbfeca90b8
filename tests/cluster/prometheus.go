package main

import (
	"context"
	"net/http"
	"os"
)

// prometheusAddress is where Prometheus listens in the box; the host reaches it through forward.
const prometheusAddress = "127.0.0.1:9090"

// Scrapes every proxy each second, and makes of the two raw labels of telemetry.yaml those that
// Istio's series have. A request that got no upstream keeps an empty workload, as in Istio
// "unknown" would be.
const scrapeConfig = `global: {scrape_interval: 1s, scrape_timeout: 900ms}
scrape_configs:
- job_name: envoy-stats
  metrics_path: /stats/prometheus
  params: {filter: ['istio_.*']}
  file_sd_configs: [{files: [proxies.json], refresh_interval: 1s}]
  metric_relabel_configs:
  - {source_labels: [__name__], regex: 'envoy_(istio_.*)', target_label: __name__, replacement: '$1'}
  - {source_labels: [upstream], regex: '([^;]*);([^;]*);([^;]*);([^;]*);.*', target_label: destination_workload, replacement: '$1'}
  - {source_labels: [upstream], regex: '([^;]*);([^;]*);([^;]*);([^;]*);.*', target_label: destination_workload_namespace, replacement: '$2'}
  - {source_labels: [upstream], regex: '([^;]*);([^;]*);([^;]*);([^;]*);.*', target_label: destination_canonical_service, replacement: '$3'}
  - {source_labels: [upstream], regex: '([^;]*);([^;]*);([^;]*);([^;]*);.*', target_label: destination_version, replacement: '$4'}
  - {source_labels: [upstream], regex: '-?', target_label: destination_workload, replacement: unknown}
  - {source_labels: [upstream], regex: '-?', target_label: destination_version, replacement: unknown}
  - {source_labels: [cluster], regex: '(?:outbound|inbound)\|\d+\|[^|]*\|(.*)', target_label: destination_service, replacement: '$1'}
  - {source_labels: [cluster], regex: '(?:outbound|inbound)\|\d+\|[^|]*\|([^.]*)\..*', target_label: destination_service_name, replacement: '$1'}
  - {source_labels: [cluster], regex: '(?:outbound|inbound)\|\d+\|[^|]*\|[^.]*\.([^.]*)\.svc\..*', target_label: destination_service_namespace, replacement: '$1'}
  - {regex: 'upstream|cluster', action: labeldrop}
`

func prometheus(o options) (part, error) {
	if err := os.WriteFile(o.path("prometheus.yml"), []byte(scrapeConfig), 0o600); err != nil {
		return part{}, err
	}
	return part{
		name:    "prometheus",
		program: o.Prometheus,
		dir:     o.Dir,
		args: []string{
			"--config.file=" + o.path("prometheus.yml"), "--storage.tsdb.path=" + o.path("tsdb"),
			"--web.listen-address=" + prometheusAddress,
			"--web.console.templates=" + o.Dir, "--web.console.libraries=" + o.Dir,
			"--log.level=warn",
		},
		ready: func(ctx context.Context) error {
			return answers(ctx, http.DefaultClient, "http://"+prometheusAddress+"/-/ready")
		},
	}, nil
}
