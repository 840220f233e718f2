package manifests

import (
	"fmt"
	"io"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/backendtls/backendtls/test/manifests/rights"
)

// The operator's ServiceAccount.
const (
	OperatorNamespace      = "backendtls-system"
	OperatorServiceAccount = "backendtls-operator"
)

// operatorExcuses are rights of the operator that a suite may leave unused.
var operatorExcuses = []rights.Excuse{{
	Verb: "list", Beside: "watch",
	Why: "where the API server streams what there is at the beginning of a watch, a list is for when that fails",
}}

// OperatorRights compares the roles that the kustomization in dir gives the
// operator with an audit log of a suite that ran under them. It returns a
// sentence for each right that was missing or superfluous.
func OperatorRights(dir string, log io.Reader) ([]string, error) {
	rendered, err := Render(dir)
	if err != nil {
		return nil, err
	}
	roles, err := rendered.Roles()
	if err != nil {
		return nil, err
	}
	grants, err := roles.Of(OperatorNamespace, OperatorServiceAccount)
	if err != nil {
		return nil, err
	}
	user := "system:serviceaccount:" + OperatorNamespace + ":" + OperatorServiceAccount
	requests, err := rights.Read(log, user)
	if err != nil {
		return nil, err
	}
	if len(requests.Allowed) == 0 {
		return nil, fmt.Errorf("the audit log has no request of %s", user)
	}
	return rights.Compare(grants, requests, operatorExcuses).Faults(), nil
}

// Roles are the RBAC objects.
func (r Rendered) Roles() (rights.Roles, error) {
	var roles rights.Roles
	for _, into := range []error{
		convert(r.Of("ClusterRole"), &roles.ClusterRoles),
		convert(r.Of("Role"), &roles.Roles),
		convert(r.Of("ClusterRoleBinding"), &roles.ClusterRoleBindings),
		convert(r.Of("RoleBinding"), &roles.RoleBindings),
	} {
		if into != nil {
			return rights.Roles{}, into
		}
	}
	return roles, nil
}

// convert appends the objects to a list of their type.
func convert[T rbacv1.ClusterRole | rbacv1.Role | rbacv1.ClusterRoleBinding | rbacv1.RoleBinding](
	objects Rendered, into *[]T,
) error {
	for _, object := range objects {
		var typed T
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &typed); err != nil {
			return fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
		*into = append(*into, typed)
	}
	return nil
}
