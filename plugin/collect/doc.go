// Package collect reads what a verb decides by: the objects, where the
// operator wrote its statuses, and what the operator's own resolve.Build makes
// of them, so that the plugin cannot disagree with the operator. It decides
// nothing itself. With files, the files are the whole world: no cluster is
// contacted and nothing is looked up elsewhere.
package collect
