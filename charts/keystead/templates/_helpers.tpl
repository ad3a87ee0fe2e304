{{- define "keystead.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- /* The release's name, with the chart's unless it is in it already. */ -}}
{{- define "keystead.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride }}
{{- else if contains (include "keystead.name" .) .Release.Name -}}
{{- .Release.Name | trunc 54 | trimSuffix "-" }}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "keystead.name" .) | trunc 54 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "keystead.operator" -}}
{{- include "keystead.fullname" . }}-operator
{{- end }}

{{- define "keystead.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "keystead.operator" .) .Values.serviceAccount.name }}
{{- else -}}
{{- required "serviceAccount.name is needed where serviceAccount.create is false" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "keystead.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest }}
{{- else -}}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) }}
{{- end }}
{{- end }}
{{- end }}

{{- /* What tells the operator's pods from all others. Never changes: a Deployment's selector is immutable. */ -}}
{{- define "keystead.selector" -}}
app.kubernetes.io/name: keystead-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "keystead.labels" -}}
{{ include "keystead.selector" . }}
app.kubernetes.io/part-of: keystead
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}
