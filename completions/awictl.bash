# bash completion for awictl 0.1.0; made by awictl.cli.reference
_awictl() {
  local current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}" path="" words="" word skip="" i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="${COMP_WORDS[i]}"
    if [[ -n $skip ]]; then skip=""; continue; fi
    case "$path $word" in
      *" --profile"|*" --redis"|*" --mongo"|*" --archive"|*" -o"|*" --output"|*" --timeout"|"session create --agent"|"session create --name"|"session create --route"|"session apply --action"|"session apply --input"|"session apply --observation"|"session apply --op-id"|"session watch --interval"|"session watch --seconds"|"session list --agent"|"session list --route"|"session list --idle"|"session list --ttl-below"|"session list --sort"|"session list --limit"|"session list --rate"|"session history --limit"|"session history --offset"|"session history --interval"|"session history --seconds"|"archive sweep --margin"|"archive sweep --interval"|"archive sweep --rate"|"archive sweep --scan-rate"|"archive list --agent"|"archive list --since"|"archive list --until"|"archive list --limit"|"archive list --cursor"|"archive stats --agent"|"archive stats --since"|"archive stats --until"|"archive stats --top"|"archive export --agent"|"archive export --since"|"archive export --until"|"agent register --permission"|"agent register --expires"|"agent register --description"|"cache key --filters"|"cache key --sort"|"cache list --rate"|"cache put --filters"|"cache put --sort"|"cache put --session"|"cache put --op-id"|"cache diagnose --filters"|"cache diagnose --sort"|"cache diagnose --session"|"cache diagnose --rate"|"media put --thumbnail"|"media put --full"|"media put --embedding"|"media put --embedding-key"|"media list --rate"|"media delete --rate"|"media similar --top"|"media similar --rate"|"keys list --limit"|"keys list --rate"|"keys ttl --rate"|"keys ttl --sample"|"keys stats --rate"|"keys stats --sample"|"serve --host"|"serve --port"|"serve --workers"|"serve --rate-limit"|"serve --max-body"|"serve --request-timeout"|"top --interval"|"top --seconds"|"top --rate"|"monitor --seconds"|"monitor --session"|"monitor --kind"|"doctor --rate") skip=1 ;;
      *" -"*) ;;
      *)
        if [[ -z $path ]]; then path="$word"
        elif [[ $path =~ ^(session|archive|agent|cache|media|keys|embedded|config)$ ]]; then path="$path $word"
        fi ;;
    esac
  done
  case "$path $previous" in
    *" -o"|*" --output") COMPREPLY=($(compgen -W "table json jsonl ids raw" -- "$current")); return ;;
    "session list --sort") COMPREPLY=($(compgen -W "activity ttl actions bytes agent route id" -- "$current")); return ;;
    "agent register --permission") COMPREPLY=($(compgen -W "read write delete" -- "$current")); return ;;
    "monitor --kind") COMPREPLY=($(compgen -W "session diff agent cache image embedding lock ratelimit other" -- "$current")); return ;;
    *" --profile"|*" --redis"|*" --mongo"|*" --archive"|*" -o"|*" --output"|*" --timeout"|"session create --agent"|"session create --name"|"session create --route"|"session apply --action"|"session apply --input"|"session apply --observation"|"session apply --op-id"|"session watch --interval"|"session watch --seconds"|"session list --agent"|"session list --route"|"session list --idle"|"session list --ttl-below"|"session list --sort"|"session list --limit"|"session list --rate"|"session history --limit"|"session history --offset"|"session history --interval"|"session history --seconds"|"archive sweep --margin"|"archive sweep --interval"|"archive sweep --rate"|"archive sweep --scan-rate"|"archive list --agent"|"archive list --since"|"archive list --until"|"archive list --limit"|"archive list --cursor"|"archive stats --agent"|"archive stats --since"|"archive stats --until"|"archive stats --top"|"archive export --agent"|"archive export --since"|"archive export --until"|"agent register --permission"|"agent register --expires"|"agent register --description"|"cache key --filters"|"cache key --sort"|"cache list --rate"|"cache put --filters"|"cache put --sort"|"cache put --session"|"cache put --op-id"|"cache diagnose --filters"|"cache diagnose --sort"|"cache diagnose --session"|"cache diagnose --rate"|"media put --thumbnail"|"media put --full"|"media put --embedding"|"media put --embedding-key"|"media list --rate"|"media delete --rate"|"media similar --top"|"media similar --rate"|"keys list --limit"|"keys list --rate"|"keys ttl --rate"|"keys ttl --sample"|"keys stats --rate"|"keys stats --sample"|"serve --host"|"serve --port"|"serve --workers"|"serve --rate-limit"|"serve --max-body"|"serve --request-timeout"|"top --interval"|"top --seconds"|"top --rate"|"monitor --seconds"|"monitor --session"|"monitor --kind"|"doctor --rate") COMPREPLY=($(compgen -f -- "$current")); return ;;
  esac
  case "$path" in
    "") words="session archive agent cache media keys serve embedded demo health top monitor doctor config --version --profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
    "session") words="create apply touch end watch list show diff history --profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
    "session create") words="--agent --name --route --profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
    "session apply") words="--action --input --observation --failed --op-id --profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
    "session touch") words="--profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
    "session end") words="--discard -y --yes --dry-run --profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
    "session watch") words="--interval --seconds --profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
    "session list") words="--agent --route --idle --ttl-below --sort --reverse --limit --rate --profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
    "session show") words="--profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
    "session diff") words="--all --exit-code --profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
    "session history") words="--limit --offset -f --follow --interval --seconds --profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
    "archive") words="sweep restore list show stats export --profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
    "archive sweep") words="--once --watch --margin --interval --rate --scan-rate --dry-run --profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
    "archive restore") words="--dry-run --profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
    "archive list") words="--agent --since --until --failed --limit --all --cursor --profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
    "archive show") words="--profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
    "archive stats") words="--agent --since --until --failed --top --profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
    "archive export") words="--agent --since --until --failed --actions --profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
    "agent") words="register list show revoke session --profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
    "agent register") words="--permission --expires --description --profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
    "agent list") words="--profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
    "agent show") words="--profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
    "agent revoke") words="-y --yes --profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
    "agent session") words="--profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
    "cache") words="key list show put delete diagnose --profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
    "cache key") words="--filters --sort --profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
    "cache list") words="--rate --no-sessions --profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
    "cache show") words="--profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
    "cache put") words="--filters --sort --session --op-id --profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
    "cache delete") words="-y --yes --dry-run --profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
    "cache diagnose") words="--filters --sort --session --rate --no-sessions --exit-code --profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
    "media") words="put show list delete similar --profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
    "media put") words="--thumbnail --full --embedding --embedding-key --profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
    "media show") words="--full --profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
    "media list") words="--rate --profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
    "media delete") words="-y --yes --dry-run --rate --profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
    "media similar") words="--top --rate --profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
    "keys") words="list ttl stats --profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
    "keys list") words="--all --limit --rate --profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
    "keys ttl") words="--all --rate --sample --profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
    "keys stats") words="--all --rate --sample --profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
    "serve") words="--host --port --workers --allow-register --rate-limit --max-body --request-timeout --access-log --behind-tls --profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
    "embedded") words="start status stop --profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
    "embedded start") words="--profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
    "embedded status") words="--profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
    "embedded stop") words="--profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
    "demo") words="--profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
    "health") words="--profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
    "top") words="--interval --seconds --rate --profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
    "monitor") words="--seconds --session --kind --full --profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
    "doctor") words="--fix -y --yes --dry-run --no-data --rate --profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
    "config") words="show --profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
    "config show") words="--profile --redis --mongo --archive --embedded -o --output --timeout --no-color -q --quiet -v --verbose --help" ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _awictl awictl
