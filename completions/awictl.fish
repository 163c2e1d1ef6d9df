# fish completion for awictl 0.1.0; made by awictl.cli.reference
function __awictl_path --description 'The command that the words so far name'
    set -l path
    set -l skip 0
    for word in (commandline -opc)[2..-1]
        if test $skip = 1
            set skip 0
        else if contains -- $word --action --agent --idle --input --limit --name --observation --offset --op-id --output --profile --rate --redis --route --sort --timeout --ttl-below -o
            set skip 1
        else if not string match -q -- '-*' $word
            if test (count $path) -eq 0; or begin; test (count $path) -eq 1; and contains -- $path session agent embedded config; end
                set -a path $word
            end
        end
    end
    echo "$path"
end
complete -c awictl -f
complete -c awictl -n 'contains -- '\'''\'' (__awictl_path)' -a session -d 'Create, read, update and end live sessions'
complete -c awictl -n 'contains -- '\'''\'' (__awictl_path)' -a agent -d 'Find the sessions of agents'
complete -c awictl -n 'contains -- '\'''\'' (__awictl_path)' -a embedded -d 'The private server that awictl starts for you'
complete -c awictl -n 'contains -- '\'''\'' (__awictl_path)' -a demo -d 'See the main job done on the embedded server: an agent'\''s session is created, changed and looked at'
complete -c awictl -n 'contains -- '\'''\'' (__awictl_path)' -a health -d 'Show whether the server answers, how fast, and what it is'
complete -c awictl -n 'contains -- '\'''\'' (__awictl_path)' -a config -d 'The settings in use, and where they come from'
complete -c awictl -n 'contains -- '\'''\'' (__awictl_path)' -l version -d 'Print the version.'
complete -c awictl -l profile -r -d 'Profile of config.toml to use.'
complete -c awictl -l redis -r -d 'Server, without password: redis://HOST:PORT/DB.'
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
complete -c awictl -n 'contains -- '\''session'\'' (__awictl_path)' -a list -d 'List live sessions'
complete -c awictl -n 'contains -- '\''session'\'' (__awictl_path)' -a show -d 'Print session documents'
complete -c awictl -n 'contains -- '\''session'\'' (__awictl_path)' -a diff -d 'Show the last delta, or compare two states'
complete -c awictl -n 'contains -- '\''session'\'' (__awictl_path)' -a history -d 'Print the actions of a session, newest first'
complete -c awictl -n 'contains -- '\''session create'\'' (__awictl_path)' -l agent -r -d 'Agent id.'
complete -c awictl -n 'contains -- '\''session create'\'' (__awictl_path)' -l name -r -d 'Agent'\''s name; its id if not given.'
complete -c awictl -n 'contains -- '\''session create'\'' (__awictl_path)' -l route -r -d 'Where the agent starts.'
complete -c awictl -n 'contains -- '\''session apply'\'' (__awictl_path)' -l action -r -d 'What the agent did.'
complete -c awictl -n 'contains -- '\''session apply'\'' (__awictl_path)' -l input -r -d 'What it did it with.'
complete -c awictl -n 'contains -- '\''session apply'\'' (__awictl_path)' -l observation -r -d 'What it was told.'
complete -c awictl -n 'contains -- '\''session apply'\'' (__awictl_path)' -l failed -d 'The action did not succeed.'
complete -c awictl -n 'contains -- '\''session apply'\'' (__awictl_path)' -l op-id -r -d 'Name of the update: it is applied at most once.'
complete -c awictl -n 'contains -- '\''session apply'\'' (__awictl_path)' -F
complete -c awictl -n 'contains -- '\''session touch'\'' (__awictl_path)' -F
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
complete -c awictl -n 'contains -- '\''agent'\'' (__awictl_path)' -a session -d 'Show which session an agent is in, and when its mapping expires'
complete -c awictl -n 'contains -- '\''agent session'\'' (__awictl_path)' -F
complete -c awictl -n 'contains -- '\''embedded'\'' (__awictl_path)' -a start -d 'Start the embedded server where it is not running'
complete -c awictl -n 'contains -- '\''embedded'\'' (__awictl_path)' -a status -d 'Show whether the embedded server runs, and where it keeps its data'
complete -c awictl -n 'contains -- '\''embedded'\'' (__awictl_path)' -a stop -d 'Stop the embedded server'
complete -c awictl -n 'contains -- '\''config'\'' (__awictl_path)' -a show -d 'Show every setting with its value and where it comes from'
