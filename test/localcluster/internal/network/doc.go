// Package network chooses a range of addresses that the host does not use, and
// joins the cluster's network namespace to the host by one link and one route.
package network
