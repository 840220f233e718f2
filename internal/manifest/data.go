package manifest

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// prepareSecret names the key of data that is no base64: the decoder would
// name none.
func prepareSecret(content map[string]any) field.ErrorList {
	return checkBase64(content, "data", "put plain text under stringData")
}

// prepareConfigMap does the same for binaryData.
func prepareConfigMap(content map[string]any) field.ErrorList {
	return checkBase64(content, "binaryData", "put plain text under data")
}

// checkBase64 replaces what is no base64, so that decoding finds nothing more.
// The value stays out of the message: it may be a key that was pasted as text.
func checkBase64(content map[string]any, name, hint string) field.ErrorList {
	fields, ok := content[name].(map[string]any)
	if !ok {
		return nil
	}
	var errs field.ErrorList
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		text, ok := fields[key].(string)
		if !ok {
			continue
		}
		if _, err := base64.StdEncoding.DecodeString(text); err != nil {
			fields[key] = ""
			errs = append(errs, field.Invalid(field.NewPath(name).Key(key), field.OmitValueType{},
				fmt.Sprintf("must be base64 (%v); %s", err, hint)))
		}
	}
	return errs
}

func checkSecret(object metav1.Object) field.ErrorList {
	secret, ok := object.(*corev1.Secret)
	if !ok {
		return nil
	}
	// As a server does: stringData is written over data and never kept.
	for key, text := range secret.StringData {
		if secret.Data == nil {
			secret.Data = make(map[string][]byte, len(secret.StringData))
		}
		secret.Data[key] = []byte(text)
	}
	secret.StringData = nil
	if secret.Type == "" {
		secret.Type = corev1.SecretTypeOpaque
	}
	data := field.NewPath("data")
	var errs field.ErrorList
	size := 0
	for _, key := range slices.Sorted(maps.Keys(secret.Data)) {
		errs = append(errs, checkDataKey(data, key)...)
		size += len(secret.Data[key])
	}
	if size > corev1.MaxSecretSize {
		errs = append(errs, field.TooLong(data, "", corev1.MaxSecretSize))
	}
	if secret.Type == corev1.SecretTypeTLS {
		for _, key := range []string{corev1.TLSCertKey, corev1.TLSPrivateKeyKey} {
			if _, found := secret.Data[key]; !found {
				errs = append(errs, field.Required(data.Key(key), "a Secret of type kubernetes.io/tls has it"))
			}
		}
	}
	return errs
}

func checkConfigMap(object metav1.Object) field.ErrorList {
	configMap, ok := object.(*corev1.ConfigMap)
	if !ok {
		return nil
	}
	data, binaryData := field.NewPath("data"), field.NewPath("binaryData")
	var errs field.ErrorList
	size := 0
	for _, key := range slices.Sorted(maps.Keys(configMap.Data)) {
		errs = append(errs, checkDataKey(data, key)...)
		size += len(configMap.Data[key])
	}
	for _, key := range slices.Sorted(maps.Keys(configMap.BinaryData)) {
		errs = append(errs, checkDataKey(binaryData, key)...)
		if _, found := configMap.Data[key]; found {
			errs = append(errs, field.Invalid(binaryData.Key(key), key, "the key is in data too"))
		}
		size += len(configMap.BinaryData[key])
	}
	if size > corev1.MaxSecretSize { // The same limit holds for ConfigMaps.
		errs = append(errs, field.TooLong(data, "", corev1.MaxSecretSize))
	}
	return errs
}

func checkDataKey(path *field.Path, key string) field.ErrorList {
	var errs field.ErrorList
	for _, problem := range validation.IsConfigMapKey(key) {
		errs = append(errs, field.Invalid(path.Key(key), key, problem))
	}
	return errs
}
