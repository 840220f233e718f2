package apitest

import (
	"net/http"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// discover answers what clients ask to learn which kinds there are.
func (s *Server) discover(w http.ResponseWriter, r *http.Request) bool {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case r.URL.Path == "/version":
		write(w, http.StatusOK, map[string]string{"major": "1", "minor": "37", "gitVersion": "v1.37.2"})
	case len(parts) == 1 && parts[0] == "api":
		write(w, http.StatusOK, metav1.APIVersions{
			Kind: "APIVersions", Versions: []string{"v1"},
		})
	case len(parts) == 1 && parts[0] == "apis":
		write(w, http.StatusOK, s.groups())
	case len(parts) == 2 && parts[0] == "api":
		s.writeResources(w, "", parts[1])
	case len(parts) == 3 && parts[0] == "apis":
		s.writeResources(w, parts[1], parts[2])
	default:
		return false
	}
	return true
}

func (s *Server) groups() metav1.APIGroupList {
	list := metav1.APIGroupList{Kind: "APIGroupList", APIVersion: "v1"}
	for _, k := range kinds {
		known := slices.ContainsFunc(list.Groups, func(g metav1.APIGroup) bool { return g.Name == k.group })
		if k.group == "" || known || !s.served(k) {
			continue
		}
		version := metav1.GroupVersionForDiscovery{
			GroupVersion: k.gvk().GroupVersion().String(), Version: k.version,
		}
		list.Groups = append(list.Groups, metav1.APIGroup{
			Name: k.group, PreferredVersion: version, Versions: []metav1.GroupVersionForDiscovery{version},
		})
	}
	return list
}

func (s *Server) writeResources(w http.ResponseWriter, group, version string) {
	list := metav1.APIResourceList{Kind: "APIResourceList", APIVersion: "v1"}
	for _, k := range kinds {
		if k.group != group || k.version != version || !s.served(k) {
			continue
		}
		list.GroupVersion = k.gvk().GroupVersion().String()
		list.APIResources = append(list.APIResources, metav1.APIResource{
			Name: k.resource, SingularName: strings.ToLower(k.name), Kind: k.name, Namespaced: k.namespaced,
			Verbs: metav1.Verbs{"create", "delete", "get", "list", "patch", "update", "watch"},
		})
		if k.status {
			list.APIResources = append(list.APIResources, metav1.APIResource{
				Name: k.resource + "/status", Kind: k.name, Namespaced: k.namespaced,
				Verbs: metav1.Verbs{"get", "patch", "update"},
			})
		}
	}
	if list.GroupVersion == "" {
		http.NotFound(w, nil)
		return
	}
	write(w, http.StatusOK, list)
}
