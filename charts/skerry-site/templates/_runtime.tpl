{{/* The images that the runtime may run, as a list in JSON. */}}
{{- define "skerry.allowedImages" -}}
{{- $edge := "skerry-edge" -}}
{{- with .Values.global.imageRegistry }}{{ $edge = printf "%s/%s" (trimSuffix "/" .) $edge }}{{ end -}}
{{- .Values.runtime.allowedImages | default (list (printf "%s:" $edge) (printf "%s@" $edge)) | toJson -}}
{{- end }}
