{{/* What a pod's security context needs under Pod Security restricted; a key that is null is left to the cluster. */}}
{{- define "espnet3.podSecurity" -}}
runAsNonRoot: true
seccompProfile: {type: RuntimeDefault}
{{- range $key, $value := .Values.security }}
{{- if not (kindIs "invalid" $value) }}
{{ $key }}: {{ toJson $value }}
{{- end }}
{{- end }}
{{- end }}

{{/* The same for a container. */}}
{{- define "espnet3.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* Where pods without a GPU run. */}}
{{- define "espnet3.cpuPool" -}}
{{- with .Values.pools.cpu.nodeSelector }}
nodeSelector: {{ toJson . }}
{{- end }}
{{- with .Values.pools.cpu.tolerations }}
tolerations: {{ toJson . }}
{{- end }}
{{- with .Values.pools.cpu.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}
