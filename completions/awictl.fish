# fish completion for awictl 0.1.0; made by awictl.cli.reference
function __awictl_path --description 'The command that the words so far name'
    set -l path
    set -l skip 0
    for word in (commandline -opc)[2..-1]
        if test $skip = 1
            set skip 0
        else if contains -- "$path $word" '* --profile' '* --redis' '* --mongo' '* --archive' '* -o' '* --output' '* --timeout' 'session create --agent' 'session create --name' 'session create --route' 'session apply --action' 'session apply --input' 'session apply --observation' 'session apply --op-id' 'session list --agent' 'session list --route' 'session list --idle' 'session list --ttl-below' 'session list --sort' 'session list --limit' 'session list --rate' 'session history --limit' 'session history --offset' 'archive sweep --margin' 'archive sweep --interval' 'archive sweep --rate' 'archive sweep --scan-rate' 'archive list --agent' 'archive list --since' 'archive list --until' 'archive list --limit' 'archive list --cursor' 'archive stats --agent' 'archive stats --since' 'archive stats --until' 'archive stats --top' 'archive export --agent' 'archive export --since' 'archive export --until' 'agent register --permission' 'agent register --expires' 'agent register --description' 'cache key --filters' 'cache key --sort' 'cache list --rate' 'cache put --filters' 'cache put --sort' 'cache put --session' 'cache put --op-id' 'cache diagnose --filters' 'cache diagnose --sort' 'cache diagnose --session' 'cache diagnose --rate' 'keys list --limit' 'keys list --rate' 'keys ttl --rate' 'keys ttl --sample' 'keys stats --rate' 'keys stats --sample' 'serve --host' 'serve --port' 'serve --workers' 'serve --rate-limit' 'serve --max-body' 'serve --request-timeout'; or contains -- "* $word" '* --profile' '* --redis' '* --mongo' '* --archive' '* -o' '* --output' '* --timeout' 'session create --agent' 'session create --name' 'session create --route' 'session apply --action' 'session apply --input' 'session apply --observation' 'session apply --op-id' 'session list --agent' 'session list --route' 'session list --idle' 'session list --ttl-below' 'session list --sort' 'session list --limit' 'session list --rate' 'session history --limit' 'session history --offset' 'archive sweep --margin' 'archive sweep --interval' 'archive sweep --rate' 'archive sweep --scan-rate' 'archive list --agent' 'archive list --since' 'archive list --until' 'archive list --limit' 'archive list --cursor' 'archive stats --agent' 'archive stats --since' 'archive stats --until' 'archive stats --top' 'archive export --agent' 'archive export --since' 'archive export --until' 'agent register --permission' 'agent register --expires' 'agent register --description' 'cache key --filters' 'cache key --sort' 'cache list --rate' 'cache put --filters' 'cache put --sort' 'cache put --session' 'cache put --op-id' 'cache diagnose --filters' 'cache diagnose --sort' 'cache diagnose --session' 'cache diagnose --rate' 'keys list --limit' 'keys list --rate' 'keys ttl --rate' 'keys ttl --sample' 'keys stats --rate' 'keys stats --sample' 'serve --host' 'serve --port' 'serve --workers' 'serve --rate-limit' 'serve --max-body' 'serve --request-timeout'
            set skip 1
        else if not string match -q -- '-*' $word
            if test (count $path) -eq 0; or begin; test (count $path) -eq 1; and contains -- $path session archive agent cache keys embedded config; end
                set -a path $word
            end
        end
    end
    echo "$path"
end
complete -c awictl -f
complete -c awictl -n 'contains -- '\'''\'' (__awictl_path)' -a session -d 'Create, read, update and end sessions'
complete -c awictl -n 'contains -- '\'''\'' (__awictl_path)' -a archive -d 'Archive sessions before they expire; find and restore archived ones'
complete -c awictl -n 'contains -- '\'''\'' (__awictl_path)' -a agent -d 'Register agents, revoke their API keys, and find their sessions'
complete -c awictl -n 'contains -- '\'''\'' (__awictl_path)' -a cache -d 'The cached results of queries, and why a query is not cached'
complete -c awictl -n 'contains -- '\'''\'' (__awictl_path)' -a keys -d 'All keys of AWI on the server: what they are for, how large, and how long they stay'
complete -c awictl -n 'contains -- '\'''\'' (__awictl_path)' -a serve -d 'Serve the HTTP API of the Express app, until Ctrl-C or SIGTERM'
complete -c awictl -n 'contains -- '\'''\'' (__awictl_path)' -a embedded -d 'The private server that awictl starts for you'
complete -c awictl -n 'contains -- '\'''\'' (__awictl_path)' -a demo -d 'See the main job done on the embedded server: an agent'\''s session is created, changed, ended and archived'
complete -c awictl -n 'contains -- '\'''\'' (__awictl_path)' -a health -d 'Show whether Redis and the archive answer, how fast, and what they are'
complete -c awictl -n 'contains -- '\'''\'' (__awictl_path)' -a config -d 'The settings in use, and where they come from'
complete -c awictl -n 'contains -- '\'''\'' (__awictl_path)' -l version -d 'Print the version.'
complete -c awictl -l profile -r -d 'Profile of config.toml to use.'
complete -c awictl -l redis -r -d 'Server, without password: redis://HOST:PORT/DB.'
complete -c awictl -l mongo -r -d 'Archive, without password: mongodb://HOST/DATABASE.'
complete -c awictl -l archive -r -d 'Archive of either kind: mongodb://HOST/DATABASE or sqlite:///FILE.'
complete -c awictl -l embedded -d 'Use the private server that awictl starts.'
complete -c awictl -s o -l output -x -a 'table json jsonl ids raw' -d 'How to print data.'
complete -c awictl -l timeout -r -d 'Seconds to wait for the server.'
complete -c awictl -l no-color -d 'Print without colours.'
complete -c awictl -s q -l quiet -d 'No notices on stderr.'
complete -c awictl -s v -l verbose -d 'More on stderr; tracebacks of errors.'
complete -c awictl -l help -d 'Show this message and exit.'
complete -c awictl -n 'contains -- '\''session'\'' (__awictl_path)' -a create -d 'Create a session for an agent, and print it'
complete -c awictl -n 'contains -- '\''session'\'' (__awictl_path)' -a apply -d 'Merge a delta into a session'
complete -c awictl -n 'contains -- '\''session'\'' (__awictl_path)' -a touch -d 'Put off the expiry of sessions'
complete -c awictl -n 'contains -- '\''session'\'' (__awictl_path)' -a end -d 'End sessions: each is archived, read back, compared, and only then deleted'
complete -c awictl -n 'contains -- '\''session'\'' (__awictl_path)' -a list -d 'List live sessions'
complete -c awictl -n 'contains -- '\''session'\'' (__awictl_path)' -a show -d 'Print session documents, live or from the archive'
complete -c awictl -n 'contains -- '\''session'\'' (__awictl_path)' -a diff -d 'Show the last delta, or compare two states'
complete -c awictl -n 'contains -- '\''session'\'' (__awictl_path)' -a history -d 'Print the actions of a session, newest first; of an archived one also those that left it early'
complete -c awictl -n 'contains -- '\''session create'\'' (__awictl_path)' -l agent -r -d 'Agent id.'
complete -c awictl -n 'contains -- '\''session create'\'' (__awictl_path)' -l name -r -d 'Agent'\''s name; its id if not given.'
complete -c awictl -n 'contains -- '\''session create'\'' (__awictl_path)' -l route -r -d 'Where the agent starts.'
complete -c awictl -n 'contains -- '\''session apply'\'' (__awictl_path)' -l action -r -d 'What the agent did.'
complete -c awictl -n 'contains -- '\''session apply'\'' (__awictl_path)' -l input -r -d 'What it did it with; also @FILE, or -.'
complete -c awictl -n 'contains -- '\''session apply'\'' (__awictl_path)' -l observation -r -d 'What it was told.'
complete -c awictl -n 'contains -- '\''session apply'\'' (__awictl_path)' -l failed -d 'The action did not succeed.'
complete -c awictl -n 'contains -- '\''session apply'\'' (__awictl_path)' -l op-id -r -d 'Name of the update: it is applied at most once.'
complete -c awictl -n 'contains -- '\''session apply'\'' (__awictl_path)' -F
complete -c awictl -n 'contains -- '\''session touch'\'' (__awictl_path)' -F
complete -c awictl -n 'contains -- '\''session end'\'' (__awictl_path)' -l discard -d 'Do not archive them: they are lost for good.'
complete -c awictl -n 'contains -- '\''session end'\'' (__awictl_path)' -s y -l yes -d 'Do not ask before anything is lost.'
complete -c awictl -n 'contains -- '\''session end'\'' (__awictl_path)' -l dry-run -d 'Only show which sessions would end.'
complete -c awictl -n 'contains -- '\''session end'\'' (__awictl_path)' -F
complete -c awictl -n 'contains -- '\''session list'\'' (__awictl_path)' -l agent -r -d 'Only of this agent: id or name.'
complete -c awictl -n 'contains -- '\''session list'\'' (__awictl_path)' -l route -r -d 'Only on this route; * and ? stand for any.'
complete -c awictl -n 'contains -- '\''session list'\'' (__awictl_path)' -l idle -r -d 'Only idle for so long, such as 20m.'
complete -c awictl -n 'contains -- '\''session list'\'' (__awictl_path)' -l ttl-below -r -d 'Only if it expires within this time.'
complete -c awictl -n 'contains -- '\''session list'\'' (__awictl_path)' -l sort -x -a 'activity ttl actions bytes agent route id' -d 'Order, ascending; else as found.'
complete -c awictl -n 'contains -- '\''session list'\'' (__awictl_path)' -l reverse -d 'Turn the order round.'
complete -c awictl -n 'contains -- '\''session list'\'' (__awictl_path)' -l limit -r -d 'At most so many.'
complete -c awictl -n 'contains -- '\''session list'\'' (__awictl_path)' -l rate -r -d 'Let the server visit so many keys a second.'
complete -c awictl -n 'contains -- '\''session show'\'' (__awictl_path)' -F
complete -c awictl -n 'contains -- '\''session diff'\'' (__awictl_path)' -l all -d 'Compare ids, histories and statistics too.'
complete -c awictl -n 'contains -- '\''session diff'\'' (__awictl_path)' -l exit-code -d 'Exit with 1 where there is a difference.'
complete -c awictl -n 'contains -- '\''session diff'\'' (__awictl_path)' -F
complete -c awictl -n 'contains -- '\''session history'\'' (__awictl_path)' -l limit -r -d 'How many actions.'
complete -c awictl -n 'contains -- '\''session history'\'' (__awictl_path)' -l offset -r -d 'How many newer ones to pass over.'
complete -c awictl -n 'contains -- '\''session history'\'' (__awictl_path)' -F
complete -c awictl -n 'contains -- '\''archive'\'' (__awictl_path)' -a sweep -d 'Archive sessions that are about to expire, and finish those that have ended'
complete -c awictl -n 'contains -- '\''archive'\'' (__awictl_path)' -a restore -d 'Put archived sessions back into Redis as live ones, just as they were'
complete -c awictl -n 'contains -- '\''archive'\'' (__awictl_path)' -a list -d 'List archived sessions, the latest activity first'
complete -c awictl -n 'contains -- '\''archive'\'' (__awictl_path)' -a show -d 'Print archived sessions'
complete -c awictl -n 'contains -- '\''archive'\'' (__awictl_path)' -a stats -d 'Sessions and actions a day, success rate, most used actions and durations'
complete -c awictl -n 'contains -- '\''archive'\'' (__awictl_path)' -a export -d 'Print archived sessions as JSON lines, for training and replay: complete documents, or their actions'
complete -c awictl -n 'contains -- '\''archive sweep'\'' (__awictl_path)' -l once -d 'One sweep; this is the default.'
complete -c awictl -n 'contains -- '\''archive sweep'\'' (__awictl_path)' -l watch -d 'Sweep again and again, until SIGTERM or Ctrl-C.'
complete -c awictl -n 'contains -- '\''archive sweep'\'' (__awictl_path)' -l margin -r -d 'Archive what expires within it.'
complete -c awictl -n 'contains -- '\''archive sweep'\'' (__awictl_path)' -l interval -r -d 'Between two sweeps; a quarter of the margin.'
complete -c awictl -n 'contains -- '\''archive sweep'\'' (__awictl_path)' -l rate -r -d 'Archive at most so many sessions a second.'
complete -c awictl -n 'contains -- '\''archive sweep'\'' (__awictl_path)' -l scan-rate -r -d 'Let Redis visit so many keys a second.'
complete -c awictl -n 'contains -- '\''archive sweep'\'' (__awictl_path)' -l dry-run -d 'Only show which sessions are due.'
complete -c awictl -n 'contains -- '\''archive restore'\'' (__awictl_path)' -l dry-run -d 'Only check that they can be restored.'
complete -c awictl -n 'contains -- '\''archive restore'\'' (__awictl_path)' -F
complete -c awictl -n 'contains -- '\''archive list'\'' (__awictl_path)' -l agent -r -d 'Only of this agent: id or name.'
complete -c awictl -n 'contains -- '\''archive list'\'' (__awictl_path)' -l since -r -d 'Only if active then or later: 2026-11-23, 7d.'
complete -c awictl -n 'contains -- '\''archive list'\'' (__awictl_path)' -l until -r -d 'Only if not active later.'
complete -c awictl -n 'contains -- '\''archive list'\'' (__awictl_path)' -l failed -d 'Only with an action that failed.'
complete -c awictl -n 'contains -- '\''archive list'\'' (__awictl_path)' -l limit -r -d 'How many on a page.'
complete -c awictl -n 'contains -- '\''archive list'\'' (__awictl_path)' -l all -d 'All of them, without pages.'
complete -c awictl -n 'contains -- '\''archive list'\'' (__awictl_path)' -l cursor -r -d 'Where the page before this one ended.'
complete -c awictl -n 'contains -- '\''archive show'\'' (__awictl_path)' -F
complete -c awictl -n 'contains -- '\''archive stats'\'' (__awictl_path)' -l agent -r -d 'Only of this agent: id or name.'
complete -c awictl -n 'contains -- '\''archive stats'\'' (__awictl_path)' -l since -r -d 'Only if active then or later: 2026-11-23, 7d.'
complete -c awictl -n 'contains -- '\''archive stats'\'' (__awictl_path)' -l until -r -d 'Only if not active later.'
complete -c awictl -n 'contains -- '\''archive stats'\'' (__awictl_path)' -l failed -d 'Only with an action that failed.'
complete -c awictl -n 'contains -- '\''archive stats'\'' (__awictl_path)' -l top -r -d 'How many of the most used actions.'
complete -c awictl -n 'contains -- '\''archive export'\'' (__awictl_path)' -l agent -r -d 'Only of this agent: id or name.'
complete -c awictl -n 'contains -- '\''archive export'\'' (__awictl_path)' -l since -r -d 'Only if active then or later: 2026-11-23, 7d.'
complete -c awictl -n 'contains -- '\''archive export'\'' (__awictl_path)' -l until -r -d 'Only if not active later.'
complete -c awictl -n 'contains -- '\''archive export'\'' (__awictl_path)' -l failed -d 'Only with an action that failed.'
complete -c awictl -n 'contains -- '\''archive export'\'' (__awictl_path)' -l actions -d 'An action a line, instead of a session a line.'
complete -c awictl -n 'contains -- '\''archive export'\'' (__awictl_path)' -F
complete -c awictl -n 'contains -- '\''agent'\'' (__awictl_path)' -a register -d 'Make an API key for an agent'
complete -c awictl -n 'contains -- '\''agent'\'' (__awictl_path)' -a list -d 'List the agents that have a key, the newest first; those of the Express app are among them'
complete -c awictl -n 'contains -- '\''agent'\'' (__awictl_path)' -a show -d 'Show an agent'\''s key: what it allows, and whether it is good'
complete -c awictl -n 'contains -- '\''agent'\'' (__awictl_path)' -a revoke -d 'Revoke an agent'\''s key, for good'
complete -c awictl -n 'contains -- '\''agent'\'' (__awictl_path)' -a session -d 'Show which session an agent is in, and when its mapping expires'
complete -c awictl -n 'contains -- '\''agent register'\'' (__awictl_path)' -l permission -x -a 'read write delete' -d 'What it may do; repeatable.  [default: read and write]'
complete -c awictl -n 'contains -- '\''agent register'\'' (__awictl_path)' -l expires -r -d 'When its key expires, such as 30d.'
complete -c awictl -n 'contains -- '\''agent register'\'' (__awictl_path)' -l description -r -d 'What it is for.'
complete -c awictl -n 'contains -- '\''agent register'\'' (__awictl_path)' -F
complete -c awictl -n 'contains -- '\''agent show'\'' (__awictl_path)' -F
complete -c awictl -n 'contains -- '\''agent revoke'\'' (__awictl_path)' -s y -l yes -d 'Do not ask.'
complete -c awictl -n 'contains -- '\''agent revoke'\'' (__awictl_path)' -F
complete -c awictl -n 'contains -- '\''agent session'\'' (__awictl_path)' -F
complete -c awictl -n 'contains -- '\''cache'\'' (__awictl_path)' -a key -d 'Print the cache key of a query, exactly as the app makes it'
complete -c awictl -n 'contains -- '\''cache'\'' (__awictl_path)' -a list -d 'List what is cached: how long it stays, its size, and the sessions that have it as their active query'
complete -c awictl -n 'contains -- '\''cache'\'' (__awictl_path)' -a show -d 'Print cached results'
complete -c awictl -n 'contains -- '\''cache'\'' (__awictl_path)' -a put -d 'Cache the results of a query, as the app does; with a session, its trajectory tells of it'
complete -c awictl -n 'contains -- '\''cache'\'' (__awictl_path)' -a delete -d 'Delete cached results'
complete -c awictl -n 'contains -- '\''cache'\'' (__awictl_path)' -a diagnose -d 'Say whether a query is cached, and if not, why: its other spellings, similar queries, who cached it, and when'
complete -c awictl -n 'contains -- '\''cache key'\'' (__awictl_path)' -l filters -r -d 'Filters of the query: a JSON object, @FILE, or - for stdin.'
complete -c awictl -n 'contains -- '\''cache key'\'' (__awictl_path)' -l sort -r -d 'Its sort order: a JSON object, @FILE, or - for stdin.'
complete -c awictl -n 'contains -- '\''cache list'\'' (__awictl_path)' -l rate -r -d 'Let the server visit so many keys a second.'
complete -c awictl -n 'contains -- '\''cache list'\'' (__awictl_path)' -l no-sessions -d 'Do not look through the sessions for those that point here.'
complete -c awictl -n 'contains -- '\''cache show'\'' (__awictl_path)' -F
complete -c awictl -n 'contains -- '\''cache put'\'' (__awictl_path)' -l filters -r -d 'Filters of the query: a JSON object, @FILE, or - for stdin.'
complete -c awictl -n 'contains -- '\''cache put'\'' (__awictl_path)' -l sort -r -d 'Its sort order: a JSON object, @FILE, or - for stdin.'
complete -c awictl -n 'contains -- '\''cache put'\'' (__awictl_path)' -l session -r -d 'Record in this session that it is at this query.'
complete -c awictl -n 'contains -- '\''cache put'\'' (__awictl_path)' -l op-id -r -d 'Name of that record: it is made at most once.'
complete -c awictl -n 'contains -- '\''cache put'\'' (__awictl_path)' -F
complete -c awictl -n 'contains -- '\''cache delete'\'' (__awictl_path)' -s y -l yes -d 'Do not ask.'
complete -c awictl -n 'contains -- '\''cache delete'\'' (__awictl_path)' -l dry-run -d 'Only show what would be deleted.'
complete -c awictl -n 'contains -- '\''cache delete'\'' (__awictl_path)' -F
complete -c awictl -n 'contains -- '\''cache diagnose'\'' (__awictl_path)' -l filters -r -d 'Filters of the query: a JSON object, @FILE, or - for stdin.'
complete -c awictl -n 'contains -- '\''cache diagnose'\'' (__awictl_path)' -l sort -r -d 'Its sort order: a JSON object, @FILE, or - for stdin.'
complete -c awictl -n 'contains -- '\''cache diagnose'\'' (__awictl_path)' -l session -r -d 'Take both from the page that this session is at.'
complete -c awictl -n 'contains -- '\''cache diagnose'\'' (__awictl_path)' -l rate -r -d 'Let the server visit so many keys a second.'
complete -c awictl -n 'contains -- '\''cache diagnose'\'' (__awictl_path)' -l no-sessions -d 'Do not look through the sessions for similar queries.'
complete -c awictl -n 'contains -- '\''cache diagnose'\'' (__awictl_path)' -l exit-code -d 'Exit with 1 where it is not cached.'
complete -c awictl -n 'contains -- '\''keys'\'' (__awictl_path)' -a list -d 'List keys, as they are found: what each is for, how long it stays, and its bytes'
complete -c awictl -n 'contains -- '\''keys'\'' (__awictl_path)' -a ttl -d 'Show, for each kind of key, how many expire within a second, a minute, five minutes and so on'
complete -c awictl -n 'contains -- '\''keys'\'' (__awictl_path)' -a stats -d 'Show, for each kind of key, how many there are, their bytes and memory, how long they stay, and the largest'
complete -c awictl -n 'contains -- '\''keys list'\'' (__awictl_path)' -l all -d 'Other keys too, that have nothing to do with AWI.'
complete -c awictl -n 'contains -- '\''keys list'\'' (__awictl_path)' -l limit -r -d 'At most so many.'
complete -c awictl -n 'contains -- '\''keys list'\'' (__awictl_path)' -l rate -r -d 'Let the server visit so many keys a second.'
complete -c awictl -n 'contains -- '\''keys list'\'' (__awictl_path)' -F
complete -c awictl -n 'contains -- '\''keys ttl'\'' (__awictl_path)' -l all -d 'Other keys too, that have nothing to do with AWI.'
complete -c awictl -n 'contains -- '\''keys ttl'\'' (__awictl_path)' -l rate -r -d 'Let the server visit so many keys a second.'
complete -c awictl -n 'contains -- '\''keys ttl'\'' (__awictl_path)' -l sample -r -d 'Look at about so many keys.  [default: 100,000]'
complete -c awictl -n 'contains -- '\''keys ttl'\'' (__awictl_path)' -F
complete -c awictl -n 'contains -- '\''keys stats'\'' (__awictl_path)' -l all -d 'Other keys too, that have nothing to do with AWI.'
complete -c awictl -n 'contains -- '\''keys stats'\'' (__awictl_path)' -l rate -r -d 'Let the server visit so many keys a second.'
complete -c awictl -n 'contains -- '\''keys stats'\'' (__awictl_path)' -l sample -r -d 'Look at about so many keys.  [default: 100,000]'
complete -c awictl -n 'contains -- '\''keys stats'\'' (__awictl_path)' -F
complete -c awictl -n 'contains -- '\''serve'\'' (__awictl_path)' -l host -r -d 'Address to listen on.'
complete -c awictl -n 'contains -- '\''serve'\'' (__awictl_path)' -l port -r -d 'Port to listen on; 0: any free one.'
complete -c awictl -n 'contains -- '\''serve'\'' (__awictl_path)' -l workers -r -d 'Processes that serve.'
complete -c awictl -n 'contains -- '\''serve'\'' (__awictl_path)' -l allow-register -d 'Let anybody who can connect register as an agent.'
complete -c awictl -n 'contains -- '\''serve'\'' (__awictl_path)' -l rate-limit -r -d 'Requests an hour for each agent and operation; 0: any number.'
complete -c awictl -n 'contains -- '\''serve'\'' (__awictl_path)' -l max-body -r -d 'Largest body of a request.'
complete -c awictl -n 'contains -- '\''serve'\'' (__awictl_path)' -l request-timeout -r -d 'How long a request may take.'
complete -c awictl -n 'contains -- '\''serve'\'' (__awictl_path)' -l access-log -d 'Log every request.'
complete -c awictl -n 'contains -- '\''serve'\'' (__awictl_path)' -l behind-tls -d 'Something in front ends TLS: do not warn.'
complete -c awictl -n 'contains -- '\''embedded'\'' (__awictl_path)' -a start -d 'Start the embedded server where it is not running'
complete -c awictl -n 'contains -- '\''embedded'\'' (__awictl_path)' -a status -d 'Show whether the embedded server runs, and where it keeps its data'
complete -c awictl -n 'contains -- '\''embedded'\'' (__awictl_path)' -a stop -d 'Stop the embedded server'
complete -c awictl -n 'contains -- '\''config'\'' (__awictl_path)' -a show -d 'Show every setting with its value and where it comes from'
