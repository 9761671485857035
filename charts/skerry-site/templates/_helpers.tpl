{{- define "skerry.labels" -}}
app.kubernetes.io/part-of: skerry
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "skerry.image" -}}
{{- with .Values.global.imageRegistry }}{{ trimSuffix "/" . }}/{{ end -}}
{{- .Values.image.repository -}}
{{- if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end -}}
{{- end }}

{{/* What PSA `restricted` asks of a pod and of a container. */}}
{{- define "skerry.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "skerry.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* The trust anchors, as ConfigMap data. */}}
{{- define "skerry.trust" -}}
trusted_root.json: {{ required "trust.trustedRoot: the pinned trusted_root.json (--set-file trust.trustedRoot=FILE)" .Values.trust.trustedRoot | quote }}
policy.pub: {{ required "trust.policyPublicKey: public half of the policy key, PEM (--set-file trust.policyPublicKey=FILE)" .Values.trust.policyPublicKey | quote }}
hub.pub: {{ required "trust.hubPublicKey: public half of the hub key, PEM (--set-file trust.hubPublicKey=FILE)" .Values.trust.hubPublicKey | quote }}
{{- end }}
