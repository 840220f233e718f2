package manifests_test

import (
	"fmt"
	"strings"
	"testing"

	celgo "github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/environment"

	"github.com/backendtls/backendtls/test/manifests"
)

const admissionCases = "testdata/admission/cases.yaml"

// TestInsecureModesNeedTheNamespacesLabel puts every case to the API server's
// own CEL, over the policy that is shipped.
func TestInsecureModesNeedTheNamespacesLabel(t *testing.T) {
	cases, err := manifests.AdmissionCases(admissionCases)
	if err != nil {
		t.Fatal(err)
	}
	judge := newJudge(t, "../../manifests/components/admission")
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			said := judge.ask(t, c)
			if c.Refused == "" && said != "" {
				t.Errorf("refused: %s", said)
			}
			if c.Refused != "" && !strings.Contains(said, c.Refused) {
				t.Errorf("said %q, want a refusal with %q", said, c.Refused)
			}
		})
	}
}

func TestTheAdmissionBindingDenies(t *testing.T) {
	rendered := render(t, "../../manifests/components/admission")
	binding := only[admissionregistrationv1.ValidatingAdmissionPolicyBinding](t, rendered)
	policy := only[admissionregistrationv1.ValidatingAdmissionPolicy](t, rendered)
	if binding.Spec.PolicyName != policy.Name {
		t.Errorf("the binding is of %q, the policy is %q", binding.Spec.PolicyName, policy.Name)
	}
	if got := fmt.Sprint(binding.Spec.ValidationActions); got != "[Deny]" {
		t.Errorf("validationActions are %s, want [Deny]", got)
	}
	if binding.Spec.MatchResources != nil {
		t.Errorf("the binding narrows what is matched: %v", binding.Spec.MatchResources)
	}
	if policy.Spec.FailurePolicy == nil || *policy.Spec.FailurePolicy != admissionregistrationv1.Fail {
		t.Error("an expression that cannot be evaluated must refuse")
	}
}

// expression is a CEL expression of the policy.
type expression struct {
	name, text string
	returns    *celgo.Type
}

func (e *expression) GetName() string            { return e.name }
func (e *expression) GetExpression() string      { return e.text }
func (e *expression) ReturnTypes() []*celgo.Type { return []*celgo.Type{e.returns} }

// judge is the admission policy, compiled as the API server compiles it.
type judge struct {
	policy   admissionregistrationv1.ValidatingAdmissionPolicy
	compiler *cel.CompositedCompiler
	checks   cel.ConditionEvaluator
	messages cel.ConditionEvaluator
}

func newJudge(t *testing.T, dir string) *judge {
	t.Helper()
	j := &judge{policy: only[admissionregistrationv1.ValidatingAdmissionPolicy](t, render(t, dir))}
	compiler, err := cel.NewCompositedCompiler(environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()))
	if err != nil {
		t.Fatal(err)
	}
	options := cel.OptionalVariableDeclarations{}
	for _, variable := range j.policy.Spec.Variables {
		result := compiler.CompileAndStoreVariable(
			&expression{variable.Name, variable.Expression, celgo.AnyType}, options, environment.NewExpressions)
		if result.Error != nil {
			t.Fatalf("variable %s: %v", variable.Name, result.Error)
		}
	}
	var checks, messages []cel.ExpressionAccessor
	for _, validation := range j.policy.Spec.Validations {
		checks = append(checks, &expression{text: validation.Expression, returns: celgo.BoolType})
		messages = append(messages, &expression{text: validation.MessageExpression, returns: celgo.StringType})
	}
	j.compiler = compiler
	j.checks = compiler.CompileCondition(checks, options, environment.NewExpressions)
	j.messages = compiler.CompileCondition(messages, options, environment.NewExpressions)
	for _, err := range append(j.checks.CompilationErrors(), j.messages.CompilationErrors()...) {
		t.Fatal(err)
	}
	return j
}

// ask returns what the refusal says, nothing if the write is admitted.
func (j *judge) ask(t *testing.T, c manifests.AdmissionCase) string {
	t.Helper()
	namespace := &corev1.Namespace{}
	namespace.Name = "shop"
	if c.Allowed != nil {
		namespace.Labels = map[string]string{"backendtls.dev/allow-insecure-modes": *c.Allowed}
	}
	selector, err := metav1.LabelSelectorAsSelector(j.policy.Spec.MatchConstraints.NamespaceSelector)
	if err != nil {
		t.Fatal(err)
	}
	if !selector.Matches(labels.Set(namespace.Labels)) {
		return ""
	}
	attributes := attributesOf(c, namespace.Name)
	versioned := &admission.VersionedAttributes{
		Attributes: attributes, VersionedKind: attributes.GetKind(),
		VersionedObject:    admission.NewLazyObject(attributes.GetObject()),
		VersionedOldObject: admission.NewLazyObject(attributes.GetOldObject()),
	}
	request := cel.CreateAdmissionRequest(attributes, metav1.GroupVersionResource(attributes.GetResource()),
		metav1.GroupVersionKind(attributes.GetKind()))
	evaluate := func(what cel.ConditionEvaluator) []cel.EvaluationResult {
		results, _, err := what.ForInput(j.compiler.CreateContext(t.Context()), versioned, request,
			cel.OptionalVariableBindings{}, namespace, celconfig.RuntimeCELCostBudget)
		if err != nil {
			t.Fatal(err)
		}
		return results
	}
	for i, result := range evaluate(j.checks) {
		switch {
		case result.Error != nil:
			return result.Error.Error()
		case result.EvalResult != types.True:
			message := evaluate(j.messages)[i]
			if message.Error != nil {
				t.Fatalf("message of validation %d: %v", i, message.Error)
			}
			return fmt.Sprint(message.EvalResult.Value())
		}
	}
	return ""
}

func attributesOf(c manifests.AdmissionCase, namespace string) admission.Attributes {
	was, object := c.Policies(namespace, "api")
	var before runtime.Object
	operation := admission.Create
	if was != nil {
		before, operation = was, admission.Update
	}
	group := schema.GroupVersion{Group: "gateway.networking.k8s.io", Version: "v1"}
	return admission.NewAttributesRecord(object, before, group.WithKind("BackendTLSPolicy"), namespace, "api",
		group.WithResource("backendtlspolicies"), "", operation, nil, false, nil)
}
