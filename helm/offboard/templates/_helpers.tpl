{{- define "offboard.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "offboard.fullname" -}}
{{- if .Values.fullnameOverride }}{{ .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains (include "offboard.name" .) .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name (include "offboard.name" .) | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- /* Labels that select pods: (root, component, system or ""). */ -}}
{{- define "offboard.selector" -}}
app.kubernetes.io/name: {{ include "offboard.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- with .system }}
offboard/system: {{ . }}
{{- end }}
{{- end }}

{{- /* Labels of pods. The chart's version is none of them: a new chart with the same image would restart everything. */ -}}
{{- define "offboard.podLabels" -}}
{{ include "offboard.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: offboard
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "offboard.labels" -}}
{{ include "offboard.podLabels" . }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- /* Name of a component's objects: offboard-logger, offboard-worker-okta. */ -}}
{{- define "offboard.component" -}}
{{- include "offboard.fullname" .root }}-{{ .component }}{{ with .system }}-{{ . }}{{ end }}
{{- end }}

{{- define "offboard.image" -}}
{{- .Values.image.repository }}{{ if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ default .Chart.AppVersion .Values.image.tag }}{{ end }}
{{- end }}

{{- /* Seconds of a duration as Offboard writes it ("25s", "1m30s"), rounded up. */ -}}
{{- define "offboard.seconds" -}}
{{- $total := 0.0 }}
{{- range regexFindAll "[0-9]+(ms|s|m|h|d|w)" . -1 }}
{{- $number := regexFind "[0-9]+" . | float64 }}
{{- $unit := regexFind "[a-z]+" . }}
{{- $total = addf $total (mulf $number (get (dict "ms" 0.001 "s" 1 "m" 60 "h" 3600 "d" 86400 "w" 604800) $unit)) }}
{{- end }}
{{- ceil $total | int }}
{{- end }}

{{- define "offboard.drainGrace" -}}
{{- dig "worker" "drain_grace" "25s" .Values.config }}
{{- end }}

{{- define "offboard.partitions" -}}
{{- dig "topics" "partitions" 12 .Values.config }}
{{- end }}

{{- /* What holds for one system: `worker`, overridden by the system's own words. */ -}}
{{- define "offboard.worker" -}}
{{- $own := omit .system "settings" "secrets" "enabled" }}
{{- $merged := mergeOverwrite (deepCopy .root.Values.worker) (deepCopy $own) }}
{{- if eq $merged.autoscaling.kind "auto" }}
{{- $_ := set $merged.autoscaling "kind" (ternary "keda" "hpa" (.root.Capabilities.APIVersions.Has "keda.sh/v1alpha1")) }}
{{- end }}
{{- toYaml $merged }}
{{- end }}

{{- /* Systems that are not switched off, as a map. */ -}}
{{- define "offboard.systems" -}}
{{- $systems := dict }}
{{- range $name, $system := .Values.systems }}
{{- if ne (dig "enabled" true $system) false }}{{ $_ := set $systems $name $system }}{{ end }}
{{- end }}
{{- toYaml $systems }}
{{- end }}

{{- /* Tokens that a process has to know: the vault's callers have the role `reveal`, the producer's any other. */ -}}
{{- define "offboard.tokensOf" -}}
{{- $found := dict }}
{{- range $name, $token := .root.Values.tokens }}
{{- if or (and (eq $.component "vault") (has "reveal" $token.roles)) (and (eq $.component "producer") (without $token.roles "reveal")) }}
{{- $_ := set $found $name $token }}
{{- end }}
{{- end }}
{{- toYaml $found }}
{{- end }}

{{- /* Which secrets a process gets: dotted option to {name, key}. It gets no other's. */ -}}
{{- define "offboard.secretsOf" -}}
{{- $wanted := dict "producer" (list "postgres.edge" "kafka.properties") "vault" (list "vault.escrow_private_key" "kafka.properties") "worker" (list "worker.derive_key" "kafka.properties")
    "logger" (list "postgres.logger" "kafka.properties") "scheduler" (list "postgres.scheduler" "kafka.properties")
    "setup" (list "postgres.admin" "kafka.properties") "test" (list "postgres.analyst" "edge.token" "kafka.properties") }}
{{- $found := dict }}
{{- range $option := get $wanted .component }}
{{- with get $.root.Values.secrets $option }}{{ $_ := set $found $option . }}{{ end }}
{{- end }}
{{- range $name, $token := include "offboard.tokensOf" . | fromYaml }}{{ $_ := set $found (printf "edge.tokens.%s.token" $name) $token.secret }}{{ end }}
{{- if eq .component "producer" }}
{{- range $name, $source := .root.Values.sources }}
{{- range $setting, $ref := $source.secrets }}{{ $_ := set $found (printf "sources.%s.%s" $name $setting) $ref }}{{ end }}
{{- end }}
{{- end }}
{{- with .system }}
{{- range $setting, $ref := (get $.root.Values.systems .).secrets }}{{ $_ := set $found (printf "systems.%s.%s" $.system $setting) $ref }}{{ end }}
{{- end }}
{{- toYaml $found }}
{{- end }}

{{- /* offboard.yaml of one process: the options, and where its secrets lie. A worker knows its own system alone. */ -}}
{{- define "offboard.config" -}}
{{- /* What others read is left out, so that changing it restarts them alone (CONFIGURATION.md: read by). */ -}}
{{- $others := dict "producer" (list "logger" "reveal" "scheduler" "topics" "vault" "worker") "worker" (list "edge" "http" "logger" "producer" "reveal" "scheduler" "topics" "vault")
    "vault" (list "clock" "definitions" "guards" "logger" "producer" "scheduler" "topics" "worker")
    "logger" (list "edge" "http" "guards" "producer" "reveal" "topics" "vault" "worker") "scheduler" (list "edge" "http" "guards" "logger" "producer" "reveal" "topics" "vault" "worker")
    "setup" (list "edge" "http" "guards" "logger" "producer" "reveal" "scheduler" "vault" "worker") "test" (list "guards" "http" "logger" "producer" "reveal" "scheduler" "topics" "vault" "worker") }}
{{- $config := deepCopy .root.Values.config }}
{{- range get $others .component }}{{ $_ := unset $config . }}{{ end }}
{{- if has .component (list "producer" "vault" "worker" "logger" "scheduler") }}
{{- $_ := set $config .component (merge (dict "listen" "0.0.0.0:9090") (default (dict) (get $config .component))) }}
{{- end }}
{{- $edge := default (dict) $config.edge }}
{{- if eq .component "producer" }}{{ $edge = merge (dict "listen" "0.0.0.0:8080") $edge (dict "drain_wait" "5s") }}{{ end }}
{{- if eq .component "vault" }}
{{- $edge = merge (omit $edge "listen" "url") (dict "drain_wait" "5s") }}
{{- $_ := set $config "reveal" (dict "listen" "0.0.0.0:8080") }}
{{- end }}
{{- if eq .component "test" }}{{ $_ := set $edge "url" (printf "http://%s:%v" (include "offboard.component" (dict "root" .root "component" "producer" "system" "")) .root.Values.producer.service.port) }}{{ end }}
{{- $tokens := dict }}
{{- range $name, $token := include "offboard.tokensOf" . | fromYaml }}{{ $_ := set $tokens $name (dict "roles" $token.roles) }}{{ end }}
{{- if $tokens }}{{ $_ := set $edge "tokens" $tokens }}{{ end }}
{{- if $edge }}{{ $_ := set $config "edge" $edge }}{{ end }}
{{- $definitions := dict }}
{{- range $kind := include "offboard.definitionsOf" . | fromYamlArray }}
{{- $_ := set $definitions $kind (list (printf "/etc/offboard/definitions/%s" $kind)) }}
{{- end }}
{{- if $definitions }}{{ $_ := set $config "definitions" $definitions }}{{ end }}
{{- $sources := dict }}
{{- range $name, $source := .root.Values.sources }}{{ with $source.settings }}{{ $_ := set $sources $name (deepCopy .) }}{{ end }}{{ end }}
{{- if $sources }}{{ $_ := set $config "sources" $sources }}{{ end }}
{{- $systems := dict }}
{{- if .system }}
{{- $_ := set $systems .system (deepCopy (default (dict) (get .root.Values.systems .system).settings)) }}
{{- else if eq .component "setup" }}
{{- range $name, $system := include "offboard.systems" .root | fromYaml }}{{ $_ := set $systems $name (deepCopy (default (dict) $system.settings)) }}{{ end }}
{{- end }}
{{- if $systems }}{{ $_ := set $config "systems" $systems }}{{ end }}
{{- /* Secrets by their files. */ -}}
{{- range $option, $ref := include "offboard.secretsOf" . | fromYaml }}
{{- $parts := splitList "." $option }}
{{- $place := $config }}
{{- range $part := initial $parts }}
{{- if not (hasKey $place $part) }}{{ $_ := set $place $part dict }}{{ end }}
{{- $place = get $place $part }}
{{- end }}
{{- if hasKey $place (last $parts) }}{{ fail (printf "%s is given by a Secret and by config: leave one out" $option) }}{{ end }}
{{- $_ := set $place (printf "%s_file" (last $parts)) (printf "/etc/offboard/secrets/%s" $option) }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{- /* Kinds of your own definitions that a process reads, as a list: none of logger and scheduler. */ -}}
{{- define "offboard.definitionsOf" -}}
{{- $kinds := list }}
{{- if has .component (list "producer" "worker" "setup") }}
{{- range $kind := list "connectors" "runbooks" "sources" }}
{{- $of := get $.root.Values.definitions $kind }}
{{- if or $of.files $of.configMaps }}{{ $kinds = append $kinds $kind }}{{ end }}
{{- end }}
{{- end }}
{{- toYaml $kinds }}
{{- end }}

{{- /* The peers of a policy, or none: anywhere. */ -}}
{{- define "offboard.to" -}}
{{- with .to }}
to:
{{ toYaml . | indent 2 }}
{{- end }}
{{- end }}

{{- define "offboard.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- /* Volumes and mounts of a process: its configuration, its secrets, the definitions. */ -}}
{{- define "offboard.volumes" -}}
- name: config
  configMap:
    name: {{ include "offboard.component" . }}
{{- with include "offboard.secretsOf" . | fromYaml }}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
    {{- range $option, $ref := . }}
      - secret:
          name: {{ if and (eq $.component "setup") $.root.Values.externalSecrets.enabled }}{{ include "offboard.setupSecret" (dict "root" $.root "name" $ref.name) }}{{ else }}{{ $ref.name }}{{ end }}
          items: [{key: {{ $ref.key | quote }}, path: {{ $option | quote }}}]
    {{- end }}
{{- end }}
{{- range $kind := include "offboard.definitionsOf" . | fromYamlArray }}
{{- $of := get $.root.Values.definitions $kind }}
- name: {{ $kind }}
  projected:
    sources:
    {{- if $of.files }}
      - configMap: {name: {{ include "offboard.fullname" $.root }}-{{ $kind }}{{ if eq $.component "setup" }}-setup{{ end }}}
    {{- end }}
    {{- range $of.configMaps }}
      - configMap: {name: {{ . }}}
    {{- end }}
{{- end }}
{{- end }}

{{- define "offboard.mounts" -}}
- {name: config, mountPath: /etc/offboard/offboard.yaml, subPath: offboard.yaml, readOnly: true}
{{- if include "offboard.secretsOf" . | fromYaml }}
- {name: secrets, mountPath: /etc/offboard/secrets, readOnly: true}
{{- end }}
{{- range $kind := include "offboard.definitionsOf" . | fromYamlArray }}
- {name: {{ $kind }}, mountPath: /etc/offboard/definitions/{{ $kind }}, readOnly: true}
{{- end }}
{{- end }}

{{- /* A Deployment: (root, component, system, command, values, grace, replicas or nil; api: the port of the HTTP API, of the producer alone). */ -}}
{{- define "offboard.deployment" -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "offboard.component" . }}
  labels:
    {{- include "offboard.labels" . | nindent 4 }}
spec:
  {{- if not (kindIs "invalid" .replicas) }}
  replicas: {{ .replicas }}
  {{- end }}
  revisionHistoryLimit: 5
  progressDeadlineSeconds: 900 # longer than a start may take
  strategy:
    # A new one is ready before an old one ends: its partitions move once, and somebody always serves them.
    rollingUpdate: {maxSurge: 1, maxUnavailable: 0}
  selector:
    matchLabels:
      {{- include "offboard.selector" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "offboard.podLabels" . | nindent 8 }}
        {{- with .values.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      annotations:
        checksum/config: {{ include "offboard.config" . | sha256sum }}
        {{- if include "offboard.definitionsOf" . | fromYamlArray }}
        checksum/definitions: {{ toYaml .root.Values.definitions | sha256sum }}
        {{- end }}
        {{- with .values.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      serviceAccountName: {{ include "offboard.fullname" .root }}-{{ .component }}
      automountServiceAccountToken: false
      enableServiceLinks: false
      terminationGracePeriodSeconds: {{ .grace }}
      securityContext: {fsGroup: 65532, runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
      {{- with .root.Values.imagePullSecrets }}
      imagePullSecrets:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .values.priorityClassName }}
      priorityClassName: {{ . }}
      {{- end }}
      topologySpreadConstraints:
        {{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
        - maxSkew: 1
          topologyKey: {{ $key }}
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels:
              {{- include "offboard.selector" $ | nindent 14 }}
        {{- end }}
      {{- with .values.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .values.tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .values.affinity }}
      affinity:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      containers:
        - name: {{ .component }}
          image: {{ include "offboard.image" .root }}
          imagePullPolicy: {{ .root.Values.image.pullPolicy }}
          command: {{ toJson .command }}
          {{- with .values.env }}
          env:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          ports:
            - {name: metrics, containerPort: 9090}
            {{- with .api }}
            - {name: http, containerPort: {{ . }}}
            {{- end }}
          # Alive: its loop answers. It may not for minutes at the start, while it reads back what is in Kafka.
          startupProbe:
            httpGet: {path: /healthz, port: metrics}
            periodSeconds: 5
            failureThreshold: 120
          livenessProbe:
            httpGet: {path: /healthz, port: metrics}
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 6
          # Ready: it has its partitions, its database, its memory.
          readinessProbe:
            httpGet: {path: /readyz, port: metrics}
            periodSeconds: 5
            timeoutSeconds: 3
          resources:
            {{- toYaml .values.resources | nindent 12 }}
          securityContext:
            {{- include "offboard.securityContext" . | nindent 12 }}
          volumeMounts:
            {{- include "offboard.mounts" . | nindent 12 }}
      volumes:
        {{- include "offboard.volumes" . | nindent 8 }}
{{- end }}

{{- /* A disruption budget, where more than one replica runs: (root, component, system, replicas at least). */ -}}
{{- define "offboard.budget" -}}
{{- if and .root.Values.podDisruptionBudget.enabled (gt (int .least) 1) }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "offboard.component" . }}
  labels:
    {{- include "offboard.labels" . | nindent 4 }}
spec:
  maxUnavailable: 1
  selector:
    matchLabels:
      {{- include "offboard.selector" . | nindent 6 }}
{{- end }}
{{- end }}

{{- /* What the hook needs beside its Job: made before it, and gone when it has succeeded. Uninstalling would leave it behind. */ -}}
{{- define "offboard.setupHook" -}}
helm.sh/hook: pre-install,pre-upgrade
helm.sh/hook-weight: "-10"
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}

{{- /* The hook's own copy of a Secret that is made from a store: (root, name). */ -}}
{{- define "offboard.setupSecret" -}}
{{ include "offboard.fullname" .root }}-setup-{{ .name }}
{{- end }}

{{- /* The ConfigMap of one process. */ -}}
{{- define "offboard.configMap" -}}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ include "offboard.component" . }}
  labels:
    {{- include "offboard.labels" . | nindent 4 }}
  {{- with .annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
data:
  offboard.yaml: |
    {{- include "offboard.config" . | nindent 4 }}
{{- end }}
