from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('projects', '0003_usage_of_processors'),
    ]

    operations = [
        migrations.AddField(
            model_name='appinstance',
            name='active_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='appinstance',
            name='kept_at',
            field=models.DateTimeField(null=True),
        ),
    ]
