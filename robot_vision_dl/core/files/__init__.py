"""Files that are whole or not there, whoever is killed."""
