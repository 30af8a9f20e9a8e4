# password prints the database's password, or says what is wrong with its file.
password() {
	if [ ! -r /run/secrets/postgres.password ]; then
		echo "deploy/compose/secret/postgres.password cannot be read by uid $(id -u): chmod 444 it (its folder stays 700)" >&2
		return 1
	fi
	if [ ! -s /run/secrets/postgres.password ]; then
		echo "deploy/compose/secret/postgres.password is empty: remove it and run deploy/compose/password" >&2
		return 1
	fi
	cat /run/secrets/postgres.password
}
