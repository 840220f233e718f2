package manifest

import (
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// checkService adds the defaults that matter here and checks the ports by the
// rules of Service v1 (kubernetes pkg/apis/core/validation).
func checkService(object metav1.Object) field.ErrorList {
	service, ok := object.(*corev1.Service)
	if !ok {
		return nil
	}
	spec := &service.Spec
	if spec.Type == "" {
		spec.Type = corev1.ServiceTypeClusterIP
	}
	path := field.NewPath("spec")
	var errs field.ErrorList
	switch spec.Type {
	case corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer:
		if len(spec.Ports) == 0 && spec.ClusterIP != corev1.ClusterIPNone {
			errs = append(errs, field.Required(path.Child("ports"), ""))
		}
	case corev1.ServiceTypeExternalName:
		if problems := validation.IsDNS1123Subdomain(strings.TrimSuffix(spec.ExternalName, ".")); len(problems) > 0 {
			errs = append(errs, field.Invalid(path.Child("externalName"), spec.ExternalName, problems[0]))
		}
	default:
		errs = append(errs, field.NotSupported(path.Child("type"), spec.Type, []corev1.ServiceType{
			corev1.ServiceTypeClusterIP, corev1.ServiceTypeExternalName,
			corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeNodePort,
		}))
	}
	names := map[string]bool{}
	numbers := map[string]bool{}
	for i := range spec.Ports {
		port, at := &spec.Ports[i], path.Child("ports").Index(i)
		errs = append(errs, checkServicePort(port, at, len(spec.Ports) > 1)...)
		if port.Name != "" && names[port.Name] {
			errs = append(errs, field.Duplicate(at.Child("name"), port.Name))
		}
		names[port.Name] = true
		number := strconv.Itoa(int(port.Port)) + "/" + string(port.Protocol)
		if numbers[number] {
			errs = append(errs, field.Duplicate(at.Child("port"), number))
		}
		numbers[number] = true
	}
	return errs
}

func checkServicePort(port *corev1.ServicePort, at *field.Path, several bool) field.ErrorList {
	var errs field.ErrorList
	switch {
	case port.Name == "" && several:
		errs = append(errs, field.Required(at.Child("name"), "each of several ports needs a name"))
	case port.Name != "":
		for _, problem := range validation.IsDNS1123Label(port.Name) {
			errs = append(errs, field.Invalid(at.Child("name"), port.Name, problem))
		}
	}
	for _, problem := range validation.IsValidPortNum(int(port.Port)) {
		errs = append(errs, field.Invalid(at.Child("port"), port.Port, problem))
	}
	errs = append(errs, checkProtocol(&port.Protocol, at.Child("protocol"))...)
	if port.TargetPort == (intstr.IntOrString{}) || port.TargetPort == intstr.FromString("") {
		port.TargetPort = intstr.FromInt32(port.Port)
	}
	var problems []string
	if port.TargetPort.Type == intstr.Int {
		problems = validation.IsValidPortNum(int(port.TargetPort.IntVal))
	} else {
		problems = validation.IsValidPortName(port.TargetPort.StrVal)
	}
	for _, problem := range problems {
		errs = append(errs, field.Invalid(at.Child("targetPort"), port.TargetPort.String(), problem))
	}
	if port.AppProtocol != nil {
		for _, problem := range validation.IsQualifiedName(*port.AppProtocol) {
			errs = append(errs, field.Invalid(at.Child("appProtocol"), *port.AppProtocol, problem))
		}
	}
	return errs
}

// checkProtocol defaults to TCP.
func checkProtocol(protocol *corev1.Protocol, at *field.Path) field.ErrorList {
	switch *protocol {
	case "":
		*protocol = corev1.ProtocolTCP
	case corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP:
	default:
		return field.ErrorList{field.NotSupported(at, *protocol,
			[]corev1.Protocol{corev1.ProtocolSCTP, corev1.ProtocolTCP, corev1.ProtocolUDP})}
	}
	return nil
}
