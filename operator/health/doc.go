// Package health answers those who watch over the operator: whether it lives,
// whether it is ready and if not why, and its metrics. It serves nothing else,
// changes nothing, and knows no other room: checks and metrics are handed to it.
package health
