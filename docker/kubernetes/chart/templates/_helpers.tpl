{{- define "labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "all-labels" -}}
{{ include "labels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "metadata" -}}
name: {{ .Release.Name }}-{{ .component }}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "all-labels" . | nindent 2 }}
{{- end }}

{{- /* A container that can write nothing but its volumes. */ -}}
{{- define "confined" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{- /* The user of the image: docker/Dockerfile.cpu makes 10001, NVIDIA's has 1000 (triton-server). */ -}}
{{- define "user" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "spread" -}}
- maxSkew: 1
  topologyKey: kubernetes.io/hostname
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "labels" . | nindent 6 }}
{{- end }}

{{- /* The labels that Prometheus gives to all samples of the servers. */ -}}
{{- define "samples" -}}
namespace="{{ .Release.Namespace }}", service="{{ .Release.Name }}-server"
{{- end }}
