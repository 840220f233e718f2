package fleet

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

// Where what an Envoy needs is in its container.
const (
	configDir   = "/etc/backendtls"
	tokenDir    = "/var/run/secrets/backendtls/xds" //nolint:gosec // a name, no credential
	tokenFile   = "token"
	adminDir    = "/run/backendtls"
	adminSocket = adminDir + "/admin.sock"
	drainDir    = "/opt/backendtls"
	drainBinary = drainDir + "/backendtls-operator"
)

// The names within a pod.
const (
	// EnvoyContainer is the name of the container that runs Envoy.
	EnvoyContainer = "envoy"
	drainContainer = "drain"

	configVolume = "config"
	tokenVolume  = "xds-token"
	adminVolume  = "admin"
	drainVolume  = "drain"
)

// bootstrapAnnotation makes pods start anew when what an Envoy reads at its
// start has changed. CA and token are not part of it: they change as it runs.
const bootstrapAnnotation = gwapi.Prefix + "bootstrap"

// appArmorAnnotation is the beginning of those by which a pod's containers leave
// AppArmor, up to Kubernetes 1.30 and for older nodes. A Gateway's annotations
// are its author's, confinement is not.
const appArmorAnnotation = "container.apparmor.security.beta.kubernetes.io/"

const (
	// defaultConcurrency is the worker threads of an Envoy without a CPU limit.
	// Envoy's own default is one per processor of the node.
	defaultConcurrency = 4
	// flushInterval is how long Envoy may keep access log lines to itself.
	flushInterval = time.Second
	// logFormat makes Envoy write its log as JSON: %j is the escaped message.
	logFormat = `{"level":"%l","logger":"%n","message":"%j"}`
	// nonRoot is the user and group of the distroless images.
	nonRoot = 65532
)

// deployment runs the Envoys. A new pod is ready before an old one is drained.
func (r *rendering) deployment(bootstrap string) (*appsv1.Deployment, error) {
	resources, err := r.resources()
	if err != nil {
		return nil, err
	}
	template := r.podTemplate(bootstrap, resources)
	if template, err = r.customize(template); err != nil {
		return nil, err
	}
	return &appsv1.Deployment{
		APIVersion: "apps/v1", Kind: "Deployment",
		ObjectMeta: r.meta(),
		Spec: appsv1.DeploymentSpec{
			Replicas: new(cmp.Or(r.gateway.Fleet.Replicas, defaultReplicas)),
			Selector: &metav1.LabelSelector{MatchLabels: selectorLabels(r.gateway.Key)},
			Strategy: appsv1.DeploymentStrategy{
				Type: appsv1.RollingUpdateDeploymentStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDeployment{
					MaxUnavailable: new(intstr.FromInt32(0)),
					MaxSurge:       new(intstr.FromString("25%")),
				},
			},
			Template: template,
		},
	}, nil
}

// resources are those of the Envoy container. There is no limit by default: a
// Gateway that is throttled or killed under load fails requests.
func (r *rendering) resources() (corev1.ResourceRequirements, error) {
	if r.gateway.Fleet.Resources == nil {
		return corev1.ResourceRequirements{Requests: corev1.ResourceList{
			corev1.ResourceCPU:    resource.MustParse("100m"),
			corev1.ResourceMemory: resource.MustParse("128Mi"),
		}}, nil
	}
	var resources corev1.ResourceRequirements
	if err := json.Unmarshal(r.gateway.Fleet.Resources, &resources); err != nil {
		return resources, fmt.Errorf("spec.envoy.resources: %w", err)
	}
	return resources, nil
}

// podTemplate is what a pod is before GatewayParameters have a say. It names no
// port of a listener, so that a new listener restarts nothing.
func (r *rendering) podTemplate(bootstrap string, resources corev1.ResourceRequirements) corev1.PodTemplateSpec {
	annotations := maps.Clone(r.gateway.Fleet.Annotations)
	if annotations == nil {
		annotations = map[string]string{}
	}
	maps.DeleteFunc(annotations, func(key, _ string) bool { return strings.HasPrefix(key, appArmorAnnotation) })
	annotations[bootstrapAnnotation] = model.Digest(bootstrap)
	return corev1.PodTemplateSpec{
		Labels: labels(r.gateway), Annotations: annotations,
		Spec: corev1.PodSpec{
			ServiceAccountName:            r.name,
			AutomountServiceAccountToken:  new(false),
			EnableServiceLinks:            new(false),
			TerminationGracePeriodSeconds: new(int64(DrainDeadline.Seconds())),
			NodeSelector:                  map[string]string{corev1.LabelOSStable: string(corev1.Linux)},
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot: new(true),
				RunAsUser:    new(int64(nonRoot)),
				RunAsGroup:   new(int64(nonRoot)),
				FSGroup:      new(int64(nonRoot)),
				SeccompProfile: &corev1.SeccompProfile{
					Type: corev1.SeccompProfileTypeRuntimeDefault,
				},
			},
			InitContainers:            []corev1.Container{r.drainContainer()},
			Containers:                []corev1.Container{r.envoyContainer(resources)},
			Volumes:                   r.volumes(),
			Affinity:                  apart(r.gateway.Key),
			TopologySpreadConstraints: spread(r.gateway.Key),
		},
	}
}

// envoyContainer runs Envoy. It has no liveness probe: nothing but its own end
// calls for a restart, and one that has lost the control plane serves on.
func (r *rendering) envoyContainer(resources corev1.ResourceRequirements) corev1.Container {
	return corev1.Container{
		Name:    EnvoyContainer,
		Image:   cmp.Or(r.gateway.Fleet.Image, DefaultImage),
		Command: []string{"envoy"},
		Args: []string{
			"--config-path", configDir + "/" + bootstrapFile,
			"--service-node", "$(POD_NAME)",
			"--disable-hot-restart",
			"--concurrency", strconv.FormatInt(concurrency(resources), 10),
			"--log-level", cmp.Or(r.gateway.Fleet.LogLevel, defaultLogLevel),
			"--log-format", logFormat,
			"--drain-strategy", "immediate",
			"--file-flush-interval-msec", strconv.FormatInt(flushInterval.Milliseconds(), 10),
		},
		Env: []corev1.EnvVar{{
			Name: "POD_NAME",
			ValueFrom: &corev1.EnvVarSource{
				FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.name"},
			},
		}},
		Ports: []corev1.ContainerPort{{
			Name: "readiness", ContainerPort: r.gateway.ReadinessPort, Protocol: corev1.ProtocolTCP,
		}},
		Resources:       resources,
		SecurityContext: confined(),
		ReadinessProbe: &corev1.Probe{
			HTTPGet: &corev1.HTTPGetAction{
				Path: "/ready", Port: intstr.FromInt32(r.gateway.ReadinessPort), Scheme: corev1.URISchemeHTTP,
			},
			PeriodSeconds: 2, TimeoutSeconds: 2, SuccessThreshold: 1, FailureThreshold: 3,
		},
		Lifecycle: &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{
			drainBinary, "drain", "--admin-socket", adminSocket,
			"--delay", DrainDelay.String(), "--patience", DrainPatience.String(),
		}}}},
		VolumeMounts: []corev1.VolumeMount{
			{Name: configVolume, MountPath: configDir, ReadOnly: true},
			{Name: tokenVolume, MountPath: tokenDir, ReadOnly: true},
			{Name: adminVolume, MountPath: adminDir},
			{Name: drainVolume, MountPath: drainDir, ReadOnly: true},
		},
	}
}

// concurrency is the processors that Envoy may use, rounded up.
func concurrency(resources corev1.ResourceRequirements) int64 {
	if limit, limited := resources.Limits[corev1.ResourceCPU]; limited {
		return max(1, limit.Value())
	}
	request := resources.Requests[corev1.ResourceCPU]
	return max(defaultConcurrency, request.Value())
}

// drainContainer puts the program that drains Envoy where the Envoy container
// can run it: Envoy's image has no shell, and a listener that leads to the admin
// interface would be one for everybody who reaches the pod.
func (r *rendering) drainContainer() corev1.Container {
	return corev1.Container{
		Name:  drainContainer,
		Image: r.settings.OperatorImage,
		// The image's entry point is the program, wherever it is there.
		Args: []string{"drain", "--install", drainBinary},
		Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
			corev1.ResourceCPU:    resource.MustParse("10m"),
			corev1.ResourceMemory: resource.MustParse("32Mi"),
		}},
		SecurityContext: confined(),
		VolumeMounts:    []corev1.VolumeMount{{Name: drainVolume, MountPath: drainDir}},
	}
}

// confined is what the restricted Pod Security Standard asks of a container,
// and a root filesystem that nobody can write.
func confined() *corev1.SecurityContext {
	return &corev1.SecurityContext{
		AllowPrivilegeEscalation: new(false),
		Privileged:               new(false),
		ReadOnlyRootFilesystem:   new(true),
		RunAsNonRoot:             new(true),
		Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}
}

func (r *rendering) volumes() []corev1.Volume {
	return []corev1.Volume{
		{Name: configVolume, ConfigMap: &corev1.ConfigMapVolumeSource{
			Name:        r.name,
			DefaultMode: new(int32(0o444)),
		}},
		{Name: tokenVolume, Projected: &corev1.ProjectedVolumeSource{
			DefaultMode: new(int32(0o440)),
			Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
				Audience: XDSAudience, ExpirationSeconds: new(int64(tokenLifetime.Seconds())), Path: tokenFile,
			}}},
		}},
		{Name: adminVolume, EmptyDir: &corev1.EmptyDirVolumeSource{}},
		{Name: drainVolume, EmptyDir: &corev1.EmptyDirVolumeSource{}},
	}
}

// apart prefers nodes without another Envoy of the Gateway.
func apart(gateway gwapi.Key) *corev1.Affinity {
	return &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
		PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{{
			Weight: 100,
			PodAffinityTerm: corev1.PodAffinityTerm{
				LabelSelector: &metav1.LabelSelector{MatchLabels: selectorLabels(gateway)},
				TopologyKey:   corev1.LabelHostname,
			},
		}},
	}}
}

// spread evens Envoys out over zones and nodes as far as that can be done.
func spread(gateway gwapi.Key) []corev1.TopologySpreadConstraint {
	var constraints []corev1.TopologySpreadConstraint
	for _, key := range []string{corev1.LabelTopologyZone, corev1.LabelHostname} {
		constraints = append(constraints, corev1.TopologySpreadConstraint{
			MaxSkew: 1, TopologyKey: key, WhenUnsatisfiable: corev1.ScheduleAnyway,
			LabelSelector: &metav1.LabelSelector{MatchLabels: selectorLabels(gateway)},
		})
	}
	return constraints
}
