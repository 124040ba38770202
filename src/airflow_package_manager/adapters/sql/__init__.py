"""Operations and events in Airflow's metadata database, by SQLAlchemy Core 1.4 and 2. No decision about packages."""
