"""The only room that imports airflow. Importing this package must cost an Airflow process nothing."""
