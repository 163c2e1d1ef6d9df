"""What operators look into: keys, activity, commands of clients, and checks of data and servers."""
