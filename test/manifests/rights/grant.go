package rights

import (
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
)

// Grant is one verb on one resource, as a role has it.
type Grant struct {
	// Role is the kind and name of the role.
	Role string
	// Namespace is where it holds; "" is everywhere.
	Namespace string
	// Group, Resource (with a subresource behind a slash) and Verb are what is
	// granted.
	Group, Resource, Verb string
	// Name is the one object that it is for; "" is all.
	Name string
}

// String is the form used in messages.
func (g Grant) String() string {
	return fmt.Sprintf("%s: %s", g.Role, describe(g.Verb, g.Group, g.Resource, g.Namespace, g.Name))
}

// describe is "verb resource.group name in namespace".
func describe(verb, group, resource, namespace, name string) string {
	text := verb + " " + resource
	if group != "" {
		text += "." + group
	}
	if name != "" {
		text += " " + name
	}
	if namespace != "" {
		text += " in " + namespace
	}
	return text
}

// Roles are RBAC objects of a cluster or a file.
type Roles struct {
	ClusterRoles        []rbacv1.ClusterRole
	Roles               []rbacv1.Role
	ClusterRoleBindings []rbacv1.ClusterRoleBinding
	RoleBindings        []rbacv1.RoleBinding
}

// Of is what is granted to a ServiceAccount by name, each verb on each resource
// on its own. Wildcards and URLs are errors: what they grant cannot be counted.
func (r Roles) Of(namespace, serviceAccount string) ([]Grant, error) {
	var all []Grant
	add := func(kind, name, namespace string) error {
		rules, err := r.rules(kind, name, namespace)
		if err != nil {
			return err
		}
		for _, rule := range rules {
			some, err := expand(kind+" "+name, namespace, rule)
			if err != nil {
				return err
			}
			all = append(all, some...)
		}
		return nil
	}
	bound := func(subject rbacv1.Subject) bool {
		return subject.Kind == rbacv1.ServiceAccountKind && subject.Name == serviceAccount && subject.Namespace == namespace
	}
	for _, binding := range r.ClusterRoleBindings {
		if slices.ContainsFunc(binding.Subjects, bound) {
			if err := add(binding.RoleRef.Kind, binding.RoleRef.Name, ""); err != nil {
				return nil, fmt.Errorf("ClusterRoleBinding %s: %w", binding.Name, err)
			}
		}
	}
	for _, binding := range r.RoleBindings {
		if slices.ContainsFunc(binding.Subjects, bound) {
			if err := add(binding.RoleRef.Kind, binding.RoleRef.Name, binding.Namespace); err != nil {
				return nil, fmt.Errorf("RoleBinding %s/%s: %w", binding.Namespace, binding.Name, err)
			}
		}
	}
	return all, nil
}

func (r Roles) rules(kind, name, namespace string) ([]rbacv1.PolicyRule, error) {
	if kind == "ClusterRole" {
		for _, role := range r.ClusterRoles {
			if role.Name == name {
				return role.Rules, nil
			}
		}
	} else {
		for _, role := range r.Roles {
			if role.Name == name && role.Namespace == namespace {
				return role.Rules, nil
			}
		}
	}
	return nil, fmt.Errorf("there is no %s %s", kind, name)
}

// expand takes a rule apart.
func expand(role, namespace string, rule rbacv1.PolicyRule) ([]Grant, error) {
	if len(rule.NonResourceURLs) > 0 {
		return nil, fmt.Errorf("%s grants URLs: %s", role, strings.Join(rule.NonResourceURLs, ", "))
	}
	for _, words := range [][]string{rule.APIGroups, rule.Resources, rule.Verbs} {
		if slices.ContainsFunc(words, func(word string) bool { return strings.Contains(word, "*") }) {
			return nil, fmt.Errorf("%s has a wildcard: %s", role, strings.Join(words, ", "))
		}
	}
	names := rule.ResourceNames
	if len(names) == 0 {
		names = []string{""}
	}
	var all []Grant
	for _, group := range rule.APIGroups {
		for _, resource := range rule.Resources {
			for _, verb := range rule.Verbs {
				for _, name := range names {
					all = append(all, Grant{
						Role: role, Namespace: namespace, Group: group, Resource: resource, Verb: verb, Name: name,
					})
				}
			}
		}
	}
	return all, nil
}
