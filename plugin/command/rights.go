package command

// What verbs need in a cluster, for their help: a line for each right, the verbs
// of the API, then the resources and their API group. Each verb is tested in a
// cluster under a role with exactly that.
const (
	rightsToRead = `Rights in a cluster (RBAC), as far as you want to see something of:
  list, get    gateways, gatewayclasses, httproutes, grpcroutes, tlsroutes,
               tcproutes, listenersets, referencegrants, backendtlspolicies
               (gateway.networking.k8s.io)
  list, get    services, namespaces
  list         endpointslices (discovery.k8s.io)
  list, get    gatewayparameters (backendtls.dev)
  get          configmaps, those that policies name
  get          clustertrustbundles (certificates.k8s.io), those that they name
  list         destinationrules (networking.istio.io), where Istio is in the way
  list         backendconfigpolicies (gateway.kgateway.dev), where kgateway is
  Secrets are never read. Whoever may list in one namespace only sees that, and
  of the others what is named there and may be got; the rest is <forbidden>.`
	rightsToWatch = `
  watch        the same, for the screens and --watch (events of policies and
               Gateways, too): what may not be watched is read every 30 seconds`
	rightsToAsk = `
  get, create  pods/portforward, unless --via direct`
)

// What a writing verb needs beside what reading and asking endpoints needs. The
// API server refuses whatever of it is missing in its dry run, before anything is
// asked.
const (
	rightsToChange = "get, patch   backendtlspolicies (gateway.networking.k8s.io)"
	rightsToCreate = rightsToChange + `
  create       backendtlspolicies (gateway.networking.k8s.io), where the
               Service has none`
	rightsToBundle = `get, create, patch  configmaps, for --form leaf and ca`
)

// inClusters is what is the same for every writing verb.
const inClusters = `In a cluster the API server first says, in a dry run, what it would store and
whether it would take it; then you are asked, and what was shown is what is
written: if the policy changes meanwhile, nothing is. Fields that somebody else
manages, such as Argo CD, are named first. Afterwards it waits (--wait) until
every Envoy has acknowledged the change.`

// withFiles is what is the same for every writing verb with -f.
const withFiles = `With -f the resulting manifest is printed, and nothing is changed without --write.`
