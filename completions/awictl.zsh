#compdef awictl
# zsh completion for awictl 0.1.0; made by awictl.cli.reference

_awictl() {
  local context state state_descr line
  typeset -A opt_args
  _arguments -C \
    '--version[Print the version.]' \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]' \
    '1: :->command' '*:: :->argument'
  case $state in
    command)
      local -a commands=(
      'session:Create, read, update and end sessions'
      'archive:Archive sessions before they expire; find and restore archived ones'
      'agent:Register agents, revoke their API keys, and find their sessions'
      'cache:The cached results of queries, and why a query is not cached'
      'media:Cached pictures and their embeddings'
      'keys:All keys of AWI on the server: what they are for, how large, and how long they stay'
      'serve:Serve the HTTP API of the Express app, until Ctrl-C or SIGTERM'
      'embedded:The private server that awictl starts for you'
      'demo:See the main job done on the embedded server: an agent'\''s session is created, changed, ended and archived'
      'health:Show whether Redis and the archive answer, how fast, and what they are'
      'top:Watch all sessions on a full screen: by activity, with actions a second, failures, and memory'
      'monitor:Print the commands that clients run on the keys of AWI, by MONITOR: who, when, which script, and on what'
      'doctor:Check the server, what is stored, and the archive: pass, warn or fail, why, and what to do'
      'config:The settings in use, and where they come from'
      )
      _describe command commands ;;
    argument)
      case $line[1] in
        session) _awictl_session ;;
        archive) _awictl_archive ;;
        agent) _awictl_agent ;;
        cache) _awictl_cache ;;
        media) _awictl_media ;;
        keys) _awictl_keys ;;
        serve) _awictl_serve ;;
        embedded) _awictl_embedded ;;
        demo) _awictl_demo ;;
        health) _awictl_health ;;
        top) _awictl_top ;;
        monitor) _awictl_monitor ;;
        doctor) _awictl_doctor ;;
        config) _awictl_config ;;
      esac ;;
  esac
}

_awictl_session() {
  local context state state_descr line
  typeset -A opt_args
  _arguments -C \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]' \
    '1: :->command' '*:: :->argument'
  case $state in
    command)
      local -a commands=(
      'create:Create a session for an agent, and print it'
      'apply:Merge a delta into a session'
      'touch:Put off the expiry of sessions'
      'end:End sessions: each is archived, read back, compared, and only then deleted'
      'watch:Watch a session: its state and its newest actions as they change, with what changed marked by a *'
      'list:List live sessions'
      'show:Print session documents, live or from the archive'
      'diff:Show the last delta, or compare two states'
      'history:Print the actions of a session, newest first; of an archived one also those that left it early'
      )
      _describe command commands ;;
    argument)
      case $line[1] in
        create) _awictl_session_create ;;
        apply) _awictl_session_apply ;;
        touch) _awictl_session_touch ;;
        end) _awictl_session_end ;;
        watch) _awictl_session_watch ;;
        list) _awictl_session_list ;;
        show) _awictl_session_show ;;
        diff) _awictl_session_diff ;;
        history) _awictl_session_history ;;
      esac ;;
  esac
}

_awictl_session_create() {
  _arguments \
    '--agent[Agent id.]:ID:_files' \
    '--name[Agent'\''s name; its id if not given.]:TEXT:_files' \
    '--route[Where the agent starts.]:PATH:_files' \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]'
}

_awictl_session_apply() {
  _arguments \
    '--action[What the agent did.]:NAME:_files' \
    '--input[What it did it with; also @FILE, or -.]:JSON:_files' \
    '--observation[What it was told.]:TEXT:_files' \
    '--failed[The action did not succeed.]' \
    '--op-id[Name of the update, it is applied at most once.]:ID:_files' \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]' \
    '*: :_files'
}

_awictl_session_touch() {
  _arguments \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]' \
    '*: :_files'
}

_awictl_session_end() {
  _arguments \
    '--discard[Do not archive them, they are lost for good.]' \
    '(-y --yes)'{-y,--yes}'[Do not ask before anything is lost.]' \
    '--dry-run[Only show which sessions would end.]' \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]' \
    '*: :_files'
}

_awictl_session_watch() {
  _arguments \
    '--interval[Time between two looks.]:TIME:_files' \
    '--seconds[End after this time; else at Ctrl-C.]:SECONDS:_files' \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]' \
    '*: :_files'
}

_awictl_session_list() {
  _arguments \
    '--agent[Only of this agent, id or name.]:NAME:_files' \
    '--route[Only on this route; * and ? stand for any.]:PATTERN:_files' \
    '--idle[Only idle for so long, such as 20m.]:TIME:_files' \
    '--ttl-below[Only if it expires within this time.]:TIME:_files' \
    '--sort[Order, ascending; else as found.]:activity|ttl|actions|bytes|agent|route|id:(activity ttl actions bytes agent route id)' \
    '--reverse[Turn the order round.]' \
    '--limit[At most so many.]:N:_files' \
    '--rate[Let the server visit so many keys a second.]:N:_files' \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]'
}

_awictl_session_show() {
  _arguments \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]' \
    '*: :_files'
}

_awictl_session_diff() {
  _arguments \
    '--all[Compare ids, histories and statistics too.]' \
    '--exit-code[Exit with 1 where there is a difference.]' \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]' \
    '*: :_files'
}

_awictl_session_history() {
  _arguments \
    '--limit[How many actions.]:N:_files' \
    '--offset[How many newer ones to pass over.]:N:_files' \
    '(-f --follow)'{-f,--follow}'[Then go on with each new one as it comes.]' \
    '--interval[Time between two looks.]:TIME:_files' \
    '--seconds[End after this time; else at Ctrl-C.]:SECONDS:_files' \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]' \
    '*: :_files'
}

_awictl_archive() {
  local context state state_descr line
  typeset -A opt_args
  _arguments -C \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]' \
    '1: :->command' '*:: :->argument'
  case $state in
    command)
      local -a commands=(
      'sweep:Archive sessions that are about to expire, and finish those that have ended'
      'restore:Put archived sessions back into Redis as live ones, just as they were'
      'list:List archived sessions, the latest activity first'
      'show:Print archived sessions'
      'stats:Sessions and actions a day, success rate, most used actions and durations'
      'export:Print archived sessions as JSON lines, for training and replay: complete documents, or their actions'
      )
      _describe command commands ;;
    argument)
      case $line[1] in
        sweep) _awictl_archive_sweep ;;
        restore) _awictl_archive_restore ;;
        list) _awictl_archive_list ;;
        show) _awictl_archive_show ;;
        stats) _awictl_archive_stats ;;
        export) _awictl_archive_export ;;
      esac ;;
  esac
}

_awictl_archive_sweep() {
  _arguments \
    '--once[One sweep; this is the default.]' \
    '--watch[Sweep again and again, until SIGTERM or Ctrl-C.]' \
    '--margin[Archive what expires within it.]:TIME:_files' \
    '--interval[Between two sweeps; a quarter of the margin.]:TIME:_files' \
    '--rate[Archive at most so many sessions a second.]:N:_files' \
    '--scan-rate[Let Redis visit so many keys a second.]:N:_files' \
    '--dry-run[Only show which sessions are due.]' \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]'
}

_awictl_archive_restore() {
  _arguments \
    '--dry-run[Only check that they can be restored.]' \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]' \
    '*: :_files'
}

_awictl_archive_list() {
  _arguments \
    '--agent[Only of this agent, id or name.]:NAME:_files' \
    '--since[Only if active then or later, 2026-11-23, 7d.]:TIME:_files' \
    '--until[Only if not active later.]:TIME:_files' \
    '--failed[Only with an action that failed.]' \
    '--limit[How many on a page.]:N:_files' \
    '--all[All of them, without pages.]' \
    '--cursor[Where the page before this one ended.]:CURSOR:_files' \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]'
}

_awictl_archive_show() {
  _arguments \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]' \
    '*: :_files'
}

_awictl_archive_stats() {
  _arguments \
    '--agent[Only of this agent, id or name.]:NAME:_files' \
    '--since[Only if active then or later, 2026-11-23, 7d.]:TIME:_files' \
    '--until[Only if not active later.]:TIME:_files' \
    '--failed[Only with an action that failed.]' \
    '--top[How many of the most used actions.]:N:_files' \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]'
}

_awictl_archive_export() {
  _arguments \
    '--agent[Only of this agent, id or name.]:NAME:_files' \
    '--since[Only if active then or later, 2026-11-23, 7d.]:TIME:_files' \
    '--until[Only if not active later.]:TIME:_files' \
    '--failed[Only with an action that failed.]' \
    '--actions[An action a line, instead of a session a line.]' \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]' \
    '*: :_files'
}

_awictl_agent() {
  local context state state_descr line
  typeset -A opt_args
  _arguments -C \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]' \
    '1: :->command' '*:: :->argument'
  case $state in
    command)
      local -a commands=(
      'register:Make an API key for an agent'
      'list:List the agents that have a key, the newest first; those of the Express app are among them'
      'show:Show an agent'\''s key: what it allows, and whether it is good'
      'revoke:Revoke an agent'\''s key, for good'
      'session:Show which session an agent is in, and when its mapping expires'
      )
      _describe command commands ;;
    argument)
      case $line[1] in
        register) _awictl_agent_register ;;
        list) _awictl_agent_list ;;
        show) _awictl_agent_show ;;
        revoke) _awictl_agent_revoke ;;
        session) _awictl_agent_session ;;
      esac ;;
  esac
}

_awictl_agent_register() {
  _arguments \
    '--permission[What it may do; repeatable.  (default, read and write)]:read|write|delete:(read write delete)' \
    '--expires[When its key expires, such as 30d.]:TIME:_files' \
    '--description[What it is for.]:TEXT:_files' \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]' \
    '*: :_files'
}

_awictl_agent_list() {
  _arguments \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]'
}

_awictl_agent_show() {
  _arguments \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]' \
    '*: :_files'
}

_awictl_agent_revoke() {
  _arguments \
    '(-y --yes)'{-y,--yes}'[Do not ask.]' \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]' \
    '*: :_files'
}

_awictl_agent_session() {
  _arguments \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]' \
    '*: :_files'
}

_awictl_cache() {
  local context state state_descr line
  typeset -A opt_args
  _arguments -C \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]' \
    '1: :->command' '*:: :->argument'
  case $state in
    command)
      local -a commands=(
      'key:Print the cache key of a query, exactly as the app makes it'
      'list:List what is cached: how long it stays, its size, and the sessions that have it as their active query'
      'show:Print cached results'
      'put:Cache the results of a query, as the app does; with a session, its trajectory tells of it'
      'delete:Delete cached results'
      'diagnose:Say whether a query is cached, and if not, why: its other spellings, similar queries, who cached it, and when'
      )
      _describe command commands ;;
    argument)
      case $line[1] in
        key) _awictl_cache_key ;;
        list) _awictl_cache_list ;;
        show) _awictl_cache_show ;;
        put) _awictl_cache_put ;;
        delete) _awictl_cache_delete ;;
        diagnose) _awictl_cache_diagnose ;;
      esac ;;
  esac
}

_awictl_cache_key() {
  _arguments \
    '--filters[Filters of the query, a JSON object, @FILE, or - for stdin.]:JSON:_files' \
    '--sort[Its sort order, a JSON object, @FILE, or - for stdin.]:JSON:_files' \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]'
}

_awictl_cache_list() {
  _arguments \
    '--rate[Let the server visit so many keys a second.]:N:_files' \
    '--no-sessions[Do not look through the sessions for those that point here.]' \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]'
}

_awictl_cache_show() {
  _arguments \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]' \
    '*: :_files'
}

_awictl_cache_put() {
  _arguments \
    '--filters[Filters of the query, a JSON object, @FILE, or - for stdin.]:JSON:_files' \
    '--sort[Its sort order, a JSON object, @FILE, or - for stdin.]:JSON:_files' \
    '--session[Record in this session that it is at this query.]:ID:_files' \
    '--op-id[Name of that record, it is made at most once.]:ID:_files' \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]' \
    '*: :_files'
}

_awictl_cache_delete() {
  _arguments \
    '(-y --yes)'{-y,--yes}'[Do not ask.]' \
    '--dry-run[Only show what would be deleted.]' \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]' \
    '*: :_files'
}

_awictl_cache_diagnose() {
  _arguments \
    '--filters[Filters of the query, a JSON object, @FILE, or - for stdin.]:JSON:_files' \
    '--sort[Its sort order, a JSON object, @FILE, or - for stdin.]:JSON:_files' \
    '--session[Take both from the page that this session is at.]:ID:_files' \
    '--rate[Let the server visit so many keys a second.]:N:_files' \
    '--no-sessions[Do not look through the sessions for similar queries.]' \
    '--exit-code[Exit with 1 where it is not cached.]' \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]'
}

_awictl_media() {
  local context state state_descr line
  typeset -A opt_args
  _arguments -C \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]' \
    '1: :->command' '*:: :->argument'
  case $state in
    command)
      local -a commands=(
      'put:Cache an image, and its embedding'
      'show:Show images: the thumbnail first, the embedding, and how long both stay'
      'list:List images as they are found; how many there are, and what their embeddings take, is told on stderr'
      'delete:Delete images, each with its embedding, unless another image refers to that'
      'similar:List the images most similar to one, by the cosine of their embeddings'
      )
      _describe command commands ;;
    argument)
      case $line[1] in
        put) _awictl_media_put ;;
        show) _awictl_media_show ;;
        list) _awictl_media_list ;;
        delete) _awictl_media_delete ;;
        similar) _awictl_media_similar ;;
      esac ;;
  esac
}

_awictl_media_put() {
  _arguments \
    '--thumbnail[URL of its thumbnail.]:URL:_files' \
    '--full[URL of the whole image.]:URL:_files' \
    '--embedding[Its embedding, a JSON array of numbers, .npy, .f32 or .bin (float32, little-endian), or - for stdin.]:FILE:_files' \
    '--embedding-key[What the embedding is called; the image'\''s id if not given.]:KEY:_files' \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]' \
    '*: :_files'
}

_awictl_media_show() {
  _arguments \
    '--full[Show the full URL too, and unknown fields.]' \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]' \
    '*: :_files'
}

_awictl_media_list() {
  _arguments \
    '--rate[Let the server visit so many keys a second.]:N:_files' \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]'
}

_awictl_media_delete() {
  _arguments \
    '(-y --yes)'{-y,--yes}'[Do not ask.]' \
    '--dry-run[Only show what would be deleted.]' \
    '--rate[Let the server visit so many keys a second.]:N:_files' \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]' \
    '*: :_files'
}

_awictl_media_similar() {
  _arguments \
    '--top[How many images.]:N:_files' \
    '--rate[Let the server visit so many keys a second.]:N:_files' \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]' \
    '*: :_files'
}

_awictl_keys() {
  local context state state_descr line
  typeset -A opt_args
  _arguments -C \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]' \
    '1: :->command' '*:: :->argument'
  case $state in
    command)
      local -a commands=(
      'list:List keys, as they are found: what each is for, how long it stays, and its bytes'
      'ttl:Show, for each kind of key, how many expire within a second, a minute, five minutes and so on'
      'stats:Show, for each kind of key, how many there are, their bytes and memory, how long they stay, and the largest'
      )
      _describe command commands ;;
    argument)
      case $line[1] in
        list) _awictl_keys_list ;;
        ttl) _awictl_keys_ttl ;;
        stats) _awictl_keys_stats ;;
      esac ;;
  esac
}

_awictl_keys_list() {
  _arguments \
    '--all[Other keys too, that have nothing to do with AWI.]' \
    '--limit[At most so many.]:N:_files' \
    '--rate[Let the server visit so many keys a second.]:N:_files' \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]' \
    '*: :_files'
}

_awictl_keys_ttl() {
  _arguments \
    '--all[Other keys too, that have nothing to do with AWI.]' \
    '--rate[Let the server visit so many keys a second.]:N:_files' \
    '--sample[Look at about so many keys.  (default, 100,000)]:N:_files' \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]' \
    '*: :_files'
}

_awictl_keys_stats() {
  _arguments \
    '--all[Other keys too, that have nothing to do with AWI.]' \
    '--rate[Let the server visit so many keys a second.]:N:_files' \
    '--sample[Look at about so many keys.  (default, 100,000)]:N:_files' \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]' \
    '*: :_files'
}

_awictl_serve() {
  _arguments \
    '--host[Address to listen on.]:ADDRESS:_files' \
    '--port[Port to listen on; 0, any free one.]:VALUE:_files' \
    '--workers[Processes that serve.]:VALUE:_files' \
    '--allow-register[Let anybody who can connect register as an agent.]' \
    '--rate-limit[Requests an hour for each agent and operation; 0, any number.]:N:_files' \
    '--max-body[Largest body of a request.]:BYTES:_files' \
    '--request-timeout[How long a request may take.]:SPAN:_files' \
    '--access-log[Log every request.]' \
    '--behind-tls[Something in front ends TLS, do not warn.]' \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]'
}

_awictl_embedded() {
  local context state state_descr line
  typeset -A opt_args
  _arguments -C \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]' \
    '1: :->command' '*:: :->argument'
  case $state in
    command)
      local -a commands=(
      'start:Start the embedded server where it is not running'
      'status:Show whether the embedded server runs, and where it keeps its data'
      'stop:Stop the embedded server'
      )
      _describe command commands ;;
    argument)
      case $line[1] in
        start) _awictl_embedded_start ;;
        status) _awictl_embedded_status ;;
        stop) _awictl_embedded_stop ;;
      esac ;;
  esac
}

_awictl_embedded_start() {
  _arguments \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]'
}

_awictl_embedded_status() {
  _arguments \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]'
}

_awictl_embedded_stop() {
  _arguments \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]'
}

_awictl_demo() {
  _arguments \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]'
}

_awictl_health() {
  _arguments \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]'
}

_awictl_top() {
  _arguments \
    '--interval[Time between two looks.]:TIME:_files' \
    '--seconds[End after this time; else at Ctrl-C.]:SECONDS:_files' \
    '--rate[Let the server visit so many keys a second.]:N:_files' \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]'
}

_awictl_monitor() {
  _arguments \
    '--seconds[End after this time.]:SECONDS:_files' \
    '--session[Only what names this session.]:ID:_files' \
    '--kind[Only commands on keys of this kind.]:session|diff|agent|cache|image|embedding|lock|ratelimit|other:(session diff agent cache image embedding lock ratelimit other)' \
    '--full[Print all of each argument, not its beginning alone.]' \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]'
}

_awictl_doctor() {
  _arguments \
    '--fix[Put right what is derived, mappings, diffs, expiries.]' \
    '(-y --yes)'{-y,--yes}'[Do not ask.]' \
    '--dry-run[With --fix, only show what would be done.]' \
    '--no-data[Do not walk through the keys.]' \
    '--rate[Visit so many keys a second.  (default, 50,000)]:N:_files' \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]'
}

_awictl_config() {
  local context state state_descr line
  typeset -A opt_args
  _arguments -C \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]' \
    '1: :->command' '*:: :->argument'
  case $state in
    command)
      local -a commands=(
      'show:Show every setting with its value and where it comes from'
      )
      _describe command commands ;;
    argument)
      case $line[1] in
        show) _awictl_config_show ;;
      esac ;;
  esac
}

_awictl_config_show() {
  _arguments \
    '--profile[Profile of config.toml to use.]:NAME:_files' \
    '--redis[Server, without password, redis,//HOST,PORT/DB.]:URL:_files' \
    '--mongo[Archive, without password, mongodb,//HOST/DATABASE.]:URL:_files' \
    '--archive[Archive of either kind, mongodb,//HOST/DATABASE or sqlite,///FILE.]:URL:_files' \
    '--embedded[Use the private server that awictl starts.]' \
    '(-o --output)'{-o,--output}'[How to print data.]:table|json|jsonl|ids|raw:(table json jsonl ids raw)' \
    '--timeout[Seconds to wait for the server.]:SECONDS:_files' \
    '--no-color[Print without colours.]' \
    '(-q --quiet)'{-q,--quiet}'[No notices on stderr.]' \
    '(-v --verbose)'{-v,--verbose}'[More on stderr; tracebacks of errors.]' \
    '--help[Show this message and exit.]'
}

if [ "$funcstack[1]" = "_awictl" ]; then _awictl "$@"; else compdef _awictl awictl; fi
