package fleet

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
)

// customize merges the class's spec.envoy.podTemplate over ours, and then says
// again what an Envoy's identity, its confinement and its end depend on: those
// are not for a template to change. User and group ids may be changed, and left
// out, for clusters that assign them.
func (r *rendering) customize(ours corev1.PodTemplateSpec) (corev1.PodTemplateSpec, error) {
	if r.gateway.Fleet.PodTemplate == nil {
		return ours, nil
	}
	original, err := json.Marshal(ours)
	if err != nil {
		return ours, err
	}
	merged, err := mergePatch(original, r.gateway.Fleet.PodTemplate)
	if err != nil {
		return ours, fmt.Errorf("spec.envoy.podTemplate: %w", err)
	}
	// A field that does not exist was meant to be another one.
	var template corev1.PodTemplateSpec
	decoder := json.NewDecoder(bytes.NewReader(merged))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&template); err != nil {
		return ours, fmt.Errorf("spec.envoy.podTemplate: %w", err)
	}
	return reassert(template, ours), nil
}

// mergePatch merges strategically. apimachinery panics at some directives that are
// no lists of strings, such as "$retainKeys": [{}], which an API server takes in a
// field without a schema.
func mergePatch(original, patch []byte) (merged []byte, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("it cannot be merged: %v", fault)
		}
	}()
	return strategicpatch.StrategicMergePatch(original, patch, corev1.PodTemplateSpec{})
}

// reassert gives a merged template what it must have.
func reassert(template, ours corev1.PodTemplateSpec) corev1.PodTemplateSpec {
	if template.Labels == nil {
		template.Labels = map[string]string{}
	}
	maps.Copy(template.Labels, ours.Labels)
	if template.Annotations == nil {
		template.Annotations = map[string]string{}
	}
	template.Annotations[bootstrapAnnotation] = ours.Annotations[bootstrapAnnotation]

	spec := &template.Spec
	spec.ServiceAccountName = ours.Spec.ServiceAccountName
	spec.DeprecatedServiceAccount = ""
	spec.AutomountServiceAccountToken = new(false)
	spec.HostNetwork, spec.HostPID, spec.HostIPC = false, false, false
	spec.ShareProcessNamespace = nil
	spec.TerminationGracePeriodSeconds = new(max(
		valueOf(spec.TerminationGracePeriodSeconds), *ours.Spec.TerminationGracePeriodSeconds))
	if spec.SecurityContext == nil {
		spec.SecurityContext = &corev1.PodSecurityContext{}
	}
	spec.SecurityContext.RunAsNonRoot = ours.Spec.SecurityContext.RunAsNonRoot
	spec.SecurityContext.SeccompProfile = ours.Spec.SecurityContext.SeccompProfile
	spec.SecurityContext.Sysctls = nil

	for _, volume := range ours.Spec.Volumes {
		spec.Volumes = put(spec.Volumes, volume, func(v *corev1.Volume) string { return v.Name })
	}
	spec.Containers = reassertContainers(spec.Containers, ours.Spec.Containers)
	spec.InitContainers = reassertContainers(spec.InitContainers, ours.Spec.InitContainers)
	return template
}

func valueOf(seconds *int64) int64 {
	if seconds == nil {
		return 0
	}
	return *seconds
}

// reassertContainers are the containers of a merged template, ours as they must
// be. Others are the class's own business.
func reassertContainers(merged, ours []corev1.Container) []corev1.Container {
	named := func(c *corev1.Container) string { return c.Name }
	for i := range ours {
		at := slices.IndexFunc(merged, func(c corev1.Container) bool { return c.Name == ours[i].Name })
		if at < 0 {
			merged = append(merged, ours[i])
			continue
		}
		merged = put(merged, reassertContainer(merged[at], &ours[i]), named)
	}
	return merged
}

// reassertContainer leaves a container its resources, more variables and more
// mounts, and a user of its own.
func reassertContainer(merged corev1.Container, ours *corev1.Container) corev1.Container {
	merged.Command, merged.Args = ours.Command, ours.Args
	merged.Lifecycle, merged.ReadinessProbe = ours.Lifecycle, ours.ReadinessProbe
	merged.RestartPolicy = ours.RestartPolicy
	for _, mount := range ours.VolumeMounts {
		// Whatever else is mounted there would hide it.
		merged.VolumeMounts = put(merged.VolumeMounts, mount, func(m *corev1.VolumeMount) string { return m.MountPath })
	}
	for _, variable := range ours.Env {
		merged.Env = put(merged.Env, variable, func(e *corev1.EnvVar) string { return e.Name })
	}
	user, group := (*int64)(nil), (*int64)(nil)
	if merged.SecurityContext != nil {
		user, group = merged.SecurityContext.RunAsUser, merged.SecurityContext.RunAsGroup
	}
	merged.SecurityContext = confined()
	merged.SecurityContext.RunAsUser, merged.SecurityContext.RunAsGroup = user, group
	return merged
}

// put replaces the entry of that name, or appends it.
func put[T any](list []T, entry T, name func(*T) string) []T {
	for i := range list {
		if name(&list[i]) == name(&entry) {
			list[i] = entry
			return list
		}
	}
	return append(list, entry)
}
