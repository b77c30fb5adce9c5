{{/* Labels of every object. The network rules select pods by part-of. */}}
{{- define "espnet3.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: espnet3
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* The reference of an image without torch: list "data" $. */}}
{{- define "espnet3.image" -}}
{{- $root := index . 1 -}}
{{- $images := $root.Values.images -}}
{{ $images.registry | default "localhost" }}/espnet3-{{ index . 0 }}:{{ $images.tag | default $root.Chart.AppVersion }}
{{- end }}

{{/* The claim behind a volume: list "workspace" $. */}}
{{- define "espnet3.claimName" -}}
{{- $root := index . 1 -}}
{{ (index $root.Values (index . 0)).existingClaim | default (printf "%s-%s" $root.Values.fullnameOverride (index . 0)) }}
{{- end }}
