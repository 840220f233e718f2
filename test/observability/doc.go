// Package observability holds the operator of a cluster to what it shows of
// itself: it runs the whole program against an API server in memory, scrapes its
// /metrics, reads its log and the Events that it writes, and compares them with
// statuses, with what must never be shown, and with the alerts and the dashboard
// that are made of them.
package observability
